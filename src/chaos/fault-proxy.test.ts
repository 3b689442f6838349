import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { FaultProxy } from './fault-proxy.ts';

let echo: Server;
let proxy: FaultProxy;
const opened: Peer[] = [];

/** A client, and what it heard. */
class Peer {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  ended = false;
  error: string | undefined;
  closed = false;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.socket.on('data', (chunk: Buffer) => this.chunks.push(chunk));
    this.socket.on('end', () => (this.ended = true));
    this.socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code));
    this.socket.on('close', () => (this.closed = true));
    opened.push(this);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  send(text: string | Buffer): void {
    this.socket.write(text);
  }

  hears(text: string): Promise<void> {
    return eventually(() => expect(this.text).toBe(text));
  }
}

beforeEach(async () => {
  echo = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  proxy = await FaultProxy.start((echo.address() as AddressInfo).port);
});

afterEach(async () => {
  for (const { socket } of opened.splice(0)) socket.destroy();
  await proxy.close();
  echo.close();
});

/** A connection that works. */
async function peer(): Promise<Peer> {
  const made = new Peer(proxy.port);
  made.send('.');
  await made.hears('.');
  made.chunks.length = 0;
  return made;
}

describe('without faults', () => {
  test('bytes pass both ways, whole and in order', async () => {
    const one = await peer();
    const sent = Buffer.alloc(3 * 1024 * 1024, 'abcdefg');
    one.send(sent);
    await eventually(() => expect(Buffer.concat(one.chunks).equals(sent)).toBe(true));
  });

  test('ends are passed on, and connections forgotten', async () => {
    const one = await peer();
    one.socket.end('bye');
    await one.hears('bye');
    await eventually(() => expect([one.ended, one.closed, proxy.connectionCount]).toEqual([true, true, 0]));
    expect(one.error).toBeUndefined();
  });

  test('a target that is away resets the connection', async () => {
    proxy.retarget(1);
    const one = new Peer(proxy.port);
    await eventually(() => expect([one.closed, proxy.connectionCount]).toEqual([true, 0]));
  });
});

describe('what lasts until it is healed', () => {
  test('latency and jitter delay, and keep the order', async () => {
    const one = await peer();
    proxy.disturb({ latencyMs: 60, jitterMs: 30 });
    const startedMs = performance.now();
    for (const word of ['a', 'b', 'c', 'd']) one.send(word);
    await one.hears('abcd');
    // A slow machine makes it later, never sooner.
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(119);
  });

  test('bandwidth throttles one direction', async () => {
    const one = await peer();
    proxy.disturb({ bytesPerSecond: 100_000 }, ['down']);
    const startedMs = performance.now();
    for (let i = 0; i < 20; i++) {
      one.send(Buffer.alloc(1000, 'x'));
      await eventually(() => expect(one.text).toHaveLength(1000 * (i + 1)), 5000, 1);
    }
    // The last kilobyte may arrive at once.
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(180);
  });

  test('slices of one byte arrive one by one', async () => {
    const one = await peer();
    proxy.disturb({ sliceBytes: 1 }, ['down']);
    one.send('slices');
    await one.hears('slices');
    expect(one.chunks.length).toBeGreaterThan(1);
  });

  test('what is held up arrives at once when that is over', async () => {
    const one = await peer();
    proxy.disturb({ latencyMs: 3_600_000, bytesPerSecond: 1 });
    one.send('late');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(one.text).toBe('');
    proxy.heal();
    await one.hears('late');
    one.send(', and on');
    await one.hears('late, and on');
  });

  test('a cut and a corruption that have not happened do not happen any more', async () => {
    const one = await peer();
    void proxy.cut('down', { afterBytes: 1 });
    void proxy.corrupt('up');
    proxy.heal();
    one.send('whole');
    await one.hears('whole');
  });

  test('a frozen connection loses nothing, and holds the sender back', async () => {
    const one = await peer();
    proxy.freeze();
    const sent = Buffer.alloc(16 * 1024 * 1024, 'frozen ');
    one.send(sent);
    const other = new Peer(proxy.port);
    other.send('new');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([one.text, other.text]).toEqual(['', '']);
    expect(one.socket.writableLength).toBeGreaterThan(0);
    proxy.heal();
    await eventually(() => expect(Buffer.concat(one.chunks).equals(sent)).toBe(true));
    await other.hears('new');
  });

  test('a blackhole of one way swallows that way only', async () => {
    const one = await peer();
    const dead = proxy.blackhole(['down']);
    one.send('question');
    await eventually(() => expect(dead).toEqual({ callers: 1, targets: 1 }));
    expect([one.text, one.closed]).toEqual(['', false]);
  });

  test('a connection that lost something in a blackhole is dead for good, and neither end hears that the other has gone', async () => {
    const [one, idle] = [await peer(), await peer()];
    const dead = proxy.blackhole();
    one.send('lost');
    await eventually(() => expect(dead).toEqual({ callers: 1, targets: 1 }));
    proxy.heal();
    one.send('lost as well');
    idle.send('kept');
    await idle.hears('kept');
    one.socket.destroy();
    await eventually(() => expect(dead).toEqual({ callers: 0, targets: 1 }));
    expect(await new Promise((resolve) => echo.getConnections((_, count) => resolve(count)))).toBe(2);
  });

  test('new connections are refused, and those that are there stay', async () => {
    const one = await peer();
    proxy.refuse();
    const other = new Peer(proxy.port);
    await eventually(() => expect([other.closed, other.error]).toEqual([true, 'ECONNRESET']));
    one.send('here');
    await one.hears('here');
    proxy.heal();
    await peer();
  });
});

describe('what happens once', () => {
  test('a reset ends all connections, on both sides', async () => {
    const [one, other] = [await peer(), await peer()];
    const ends = new Promise<number>((resolve) => echo.getConnections((_, count) => resolve(count)));
    expect(await ends).toBe(2);
    proxy.reset();
    await eventually(() => expect([one.error, other.error]).toEqual(['ECONNRESET', 'ECONNRESET']));
    await eventually(async () => expect(await new Promise((resolve) => echo.getConnections((_, count) => resolve(count)))).toBe(0));
  });

  test('a half that is closed leaves the other open', async () => {
    const sink = createServer({ allowHalfOpen: true });
    sink.listen(0, '127.0.0.1');
    await once(sink, 'listening');
    proxy.retarget((sink.address() as AddressInfo).port);
    const one = new Peer(proxy.port);
    const [server] = (await once(sink, 'connection')) as [Socket];
    let serverEnded = false;
    server.on('end', () => (serverEnded = true)).resume();
    proxy.halfClose('up');
    await eventually(() => expect(serverEnded).toBe(true));
    server.write('still here');
    await one.hears('still here');
    expect(one.ended).toBe(false);
    server.destroy();
    sink.close();
  });

  test('one bit of one chunk is changed', async () => {
    const one = await peer();
    const done = proxy.corrupt('down');
    one.send('aaa');
    await one.hears('a!a');
    await done;
    one.send('aaa');
    await one.hears('a!aaaa');
  });

  test.each([1, 3, 7])('a connection is cut after %i bytes of what comes back', async (bytes) => {
    const one = await peer();
    const done = proxy.cut('down', { afterBytes: bytes });
    one.send('1234');
    one.send('5678');
    await done;
    await eventually(() => expect([one.text, one.error]).toEqual(['12345678'.slice(0, bytes), 'ECONNRESET']));
    await peer();
  });

  test('a connection is cut before a text reaches the target', async () => {
    const [one, other] = [await peer(), await peer()];
    const done = proxy.cut('up', { before: 'COMMIT' });
    other.send('BEGIN');
    await other.hears('BEGIN');
    one.send('COMMIT');
    await done;
    await eventually(() => expect([one.text, one.error]).toEqual(['', 'ECONNRESET']));
    other.send('COMMIT');
    await other.hears('BEGINCOMMIT');
  });

  test('a connection is cut between a text and its answer', async () => {
    const heard: string[] = [];
    echo.on('connection', (socket: Socket) => socket.on('data', (chunk: Buffer) => heard.push(chunk.toString())));
    const one = await peer();
    const done = proxy.cut('up', { answerTo: 'COMMIT' });
    one.send('COMMIT');
    await done;
    await eventually(() => expect([heard.at(-1), one.text, one.error]).toEqual(['COMMIT', '', 'ECONNRESET']));
  });
});
