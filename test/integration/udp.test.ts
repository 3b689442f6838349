import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeDatagram } from '../../src/client/client.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ServerProcess } from '../support/server-process.ts';
import { toolAvailable } from '../support/tool.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TOKEN = 'default.of-the-test';
const ROWS = 1_000;
/** Datagrams that are under way at a time: what the system has no room for is lost, as it may be. */
const AT_A_TIME = 50;

let server: ServerProcess;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await server.close();
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<number> {
  const port = await freePort();
  server = await ServerProcess.create({ SYNCLINE_TOKEN: TOKEN, SYNCLINE_UDP_PORT: String(port), SYNCLINE_UDP_HOST: '127.0.0.1', ...env });
  await server.start();
  return port;
}

function sender(type: 'udp4' | 'udp6' = 'udp4'): { send(bytes: Uint8Array, port: number): Promise<void>; readonly heard: number } {
  const socket = createSocket(type);
  sockets.push(socket);
  let heard = 0;
  socket.on('message', () => heard++);
  return {
    send: (bytes, port) =>
      new Promise((resolve, reject) =>
        socket.send(bytes, port, type === 'udp4' ? '127.0.0.1' : '::1', (error) => (error === null ? resolve() : reject(error))),
      ),
    get heard() {
      return heard;
    },
  };
}

async function counted(): Promise<Record<string, number>> {
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text();
  const found = text.matchAll(/^syncline_datagrams_total\{outcome="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, outcome, count]) => [outcome as string, Number(count)]).filter(([, count]) => count !== 0));
}

function rows(): { id: number; name: string }[] {
  const database = new DatabaseSync(join(server.data, 'data.db'), { readOnly: true });
  try {
    return database.prepare('SELECT id, name FROM readings ORDER BY id').all() as { id: number; name: string }[];
  } finally {
    database.close();
  }
}

const reading = (id: number, token = TOKEN) =>
  encodeDatagram(token, [{ table: 'readings', key: ['id'], row: { id, name: `reading ${id}` } }]);

describe('datagrams', () => {
  test('are applied, whatever partitions their rows are in, and nobody is answered', { timeout: 60_000 }, async () => {
    const port = await start();
    const from = sender();
    for (let id = 1; id <= ROWS; id++) {
      await from.send(reading(id), port);
      if (id % AT_A_TIME === 0) await eventually(async () => expect((await counted())['accepted']).toBe(id));
    }
    for (const bytes of [reading(0, 'default.wrong'), Buffer.from('hello'), reading(0).subarray(1)]) await from.send(bytes, port);
    await eventually(async () => expect(await counted()).toEqual({ accepted: ROWS, wrong_token: 1, malformed: 2 }));
    await eventually(() => expect(rows()).toEqual(Array.from({ length: ROWS }, (_, i) => ({ id: i + 1, name: `reading ${i + 1}` }))));
    expect(from.heard).toBe(0);
  });

  test('come over IPv6 as well', async () => {
    const port = await start({ SYNCLINE_UDP_HOST: '::1' });
    await sender('udp6').send(reading(1), port);
    await eventually(() => expect(rows()).toEqual([{ id: 1, name: 'reading 1' }]));
  });

  test('that were taken are stored before a server that is stopped has ended', async () => {
    const port = await start();
    await sender().send(reading(1), port);
    await eventually(async () => expect(await counted()).toEqual({ accepted: 1 }));
    expect(await server.stop()).toBe(0);
    await server.start();
    await eventually(() => expect(rows()).toEqual([{ id: 1, name: 'reading 1' }]));
  });

  test('are sent by the example for Node', async () => {
    const port = await start();
    const env = { PATH: process.env['PATH'] ?? '', SYNCLINE_TOKEN: TOKEN };
    await promisify(execFile)(process.execPath, [`${ROOT}examples/udp/send.ts`, '127.0.0.1', String(port)], { env });
    await eventually(async () => expect(await counted()).toEqual({ accepted: 1 }));
  });

  test.skipIf(!toolAvailable('php', '-v'))('are sent by the example for PHP', async () => {
    const port = await start();
    const env = { PATH: process.env['PATH'] ?? '', SYNCLINE_TOKEN: TOKEN };
    await promisify(execFile)('php', [`${ROOT}examples/udp/send.php`, '127.0.0.1', String(port)], { env });
    await eventually(async () => expect(await counted()).toEqual({ accepted: 1 }));
  });
});

test('a port that is taken ends the start, and the message names the option', async () => {
  const taken = createSocket('udp4').bind(0, '127.0.0.1');
  sockets.push(taken);
  await once(taken, 'listening');
  server = await ServerProcess.create({ SYNCLINE_UDP_PORT: String(taken.address().port) });
  server.launch();
  await eventually(() => expect(server.running).toBe(false));
  expect(server.output).toMatch(/listen\.udp\.port.*listen_failed/s);
});
