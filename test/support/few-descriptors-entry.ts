/** A TCP door in a process that may have few descriptors: greets whom it takes, and prints its port. */
import { createTcpListener } from '../../src/ingest/tcp.ts';

const listener = createTcpListener({ host: '127.0.0.1', port: 0 }, (connection) => {
  connection.open({ data: () => {}, drain: () => {}, close: () => {} });
  connection.write(Buffer.from('taken'));
});
await listener.start();
process.stdout.write(`${listener.address.port}\n`);
