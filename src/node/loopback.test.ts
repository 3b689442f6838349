import { expect, test } from 'vitest';
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '../core/clock.ts';
import type { Connection } from '../core/network.ts';
import { createLoopback } from './loopback.ts';

/** Notes what one end is told. */
function listen(connection: Connection): string[] {
  const told: string[] = [];
  connection.open({
    data: (chunk) => void told.push(Buffer.from(chunk).toString()),
    drain: () => void told.push('drain'),
    close: (error) => void told.push(error === undefined ? 'close' : `close: ${error.message}`),
  });
  return told;
}

function opened() {
  const { client, server } = createLoopback(systemClock, { producer: 'shop' });
  return { client, server, atClient: listen(client), atServer: listen(server) };
}

const bytes = (text: string) => Buffer.from(text);

test('what is written at one end arrives at the other, in order, in a later turn', async () => {
  const { client, server, atClient, atServer } = opened();
  expect(server.peer).toEqual({ producer: 'shop' });
  client.write(bytes('a'));
  client.write(bytes('b'));
  server.write(bytes('c'));
  expect([atServer, client.bufferedBytes]).toEqual([[], 2]);
  await turn();
  expect([atServer, atClient, client.bufferedBytes]).toEqual([['a', 'b', 'drain'], ['drain', 'c'], 0]);
});

test('what comes before the receiver is kept for it', async () => {
  const { client, server } = createLoopback(systemClock, {});
  client.write(bytes('early'));
  await turn();
  const atServer = listen(server);
  await turn();
  expect(atServer).toEqual(['early']);
});

test('an end that is paused holds the other back, also in the middle', async () => {
  const { client, server, atServer } = opened();
  server.pause();
  client.write(bytes('a'));
  await turn();
  expect([atServer, client.bufferedBytes]).toEqual([[], 1]);
  server.resume();
  server.pause();
  client.write(bytes('b'));
  await turn();
  expect(atServer).toEqual([]);
  server.resume();
  await turn();
  expect(atServer).toEqual(['a', 'b']);
});

test('an end that ends says what it wrote, and then both are closed, once', async () => {
  const { client, server, atClient, atServer } = opened();
  client.write(bytes('last'));
  client.end();
  client.write(bytes('too late'));
  await turn();
  await turn();
  client.destroy();
  server.destroy();
  await turn();
  expect([atServer, atClient]).toEqual([['last', 'close'], ['close']]);
});

test('an end that is destroyed drops what it wrote', async () => {
  const { client, atClient, atServer } = opened();
  client.write(bytes('lost'));
  client.destroy();
  await turn();
  expect([atServer, atClient]).toEqual([['close'], ['close']]);
});

test('a receiver that comes after the end is told of it, once', async () => {
  const { client, server } = createLoopback(systemClock, {});
  client.destroy();
  const atClient = listen(client);
  await turn();
  const atServer = listen(server);
  await turn();
  expect([atClient, atServer]).toEqual([['close'], ['close']]);
});
