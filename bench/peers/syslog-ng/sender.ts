/** A line for each change over one connection, as fast as the other side reads. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { readChanges, startLine, variable } from '../start-line.ts';

const changes = readChanges();
const socket = connect(Number(variable('SYSLOG_PORT')), '127.0.0.1');
await once(socket, 'connect');
await startLine();

// Small writes are joined to larger ones while the socket is busy.
for (const change of changes) if (!socket.write(`${JSON.stringify(change)}\n`)) await once(socket, 'drain');

socket.end();
await once(socket, 'close');
console.log('done');
