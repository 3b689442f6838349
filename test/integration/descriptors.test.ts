import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { endWithUs } from '../../src/chaos/end-with-us.ts';

const ENTRY = fileURLToPath(new URL('../support/few-descriptors-entry.ts', import.meta.url));
/** Above what the process itself needs, below what the test asks for. */
const DESCRIPTORS = 60;
const CONNECTIONS = 100;

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** Resolves when the connection was taken (something came) or cut off. */
function dial(port: number): Promise<'taken' | 'cut off'> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  return new Promise((resolve) => {
    socket.on('error', () => resolve('cut off'));
    socket.on('close', () => resolve('cut off'));
    socket.on('data', () => resolve('taken'));
  });
}

test('a door that runs out of file descriptors cuts off who comes then, and accepts again once some are free', async () => {
  const child = spawn('sh', ['-c', `ulimit -n ${DESCRIPTORS} && exec "${process.execPath}" "${ENTRY}"`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithUs(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(line.toString());
  const outcomes = await Promise.all(Array.from({ length: CONNECTIONS }, () => dial(port)));
  const taken = outcomes.filter((outcome) => outcome === 'taken').length;
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(DESCRIPTORS);
  const closed = sockets.filter((socket) => !socket.destroyed).map((socket) => once(socket, 'close'));
  for (const socket of sockets) socket.destroy();
  await Promise.all(closed);
  let again: 'taken' | 'cut off' = 'cut off';
  // The other end closes its side a moment later.
  while (again === 'cut off') again = await dial(port);
  child.kill('SIGKILL');
});
