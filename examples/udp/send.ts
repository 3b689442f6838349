import { createSocket } from 'node:dgram';
import { encodeDatagram } from '../../src/client/client.ts';

const [host = '127.0.0.1', port = '9503'] = process.argv.slice(2);
const token = process.env['SYNCLINE_TOKEN'] ?? '';
const socket = createSocket('udp4');
const row = { sensor: 'door-1', at: new Date(), celsius: 21.5 };
const datagram = encodeDatagram(token, [{ table: 'readings', key: ['sensor'], row }]);
socket.send(datagram, Number(port), host, () => socket.close());
