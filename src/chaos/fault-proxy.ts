import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FaultyPipe, NO_FAULTS, type PipeFaults } from './faulty-pipe.ts';

/** `up`: from whoever connected to the target. `down`: back. */
export type Direction = 'up' | 'down';

/** Where a connection is cut: after so many more bytes of a direction, or at a chunk that holds a text. */
export type CutPoint = { readonly afterBytes: number } | { readonly before: string } | { readonly answerTo: string };

/** Of the connections that were there when a blackhole began, and that lost something in it: how many are still held, by either end. */
export interface DeadConnections {
  /** By whoever connected. */
  readonly callers: number;
  readonly targets: number;
}

const BOTH: readonly Direction[] = ['up', 'down'];

/** Sees a chunk and gives what is to be passed on of it. */
type Tap = (chunk: Buffer, pair: Pair, direction: Direction) => Buffer | undefined;

/**
 * A TCP proxy in front of a port that does to connections what networks do. It listens on this machine only. Faults are
 * set while it runs. Those that last hold for the connections that are there and for those to come, until
 * {@link FaultProxy.heal}.
 */
export class FaultProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #host: string;
  readonly #pairs = new Set<Pair>();
  readonly #taps = new Set<Tap>();
  readonly #faults: Record<Direction, PipeFaults> = { up: NO_FAULTS, down: NO_FAULTS };
  #target: number;
  #refusing = false;

  private constructor(server: Server, target: number, host: string) {
    this.#server = server;
    this.#target = target;
    this.#host = host;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket: Socket) => this.#connected(socket));
  }

  /** A proxy in front of port `target` of `host`. */
  static async start(target: number, host = '127.0.0.1'): Promise<FaultProxy> {
    // Either side may close its half; that is passed on, and nothing more.
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultProxy(server, target, host);
  }

  get connectionCount(): number {
    return this.#pairs.size;
  }

  /** Connections that are made from now on go to another port. */
  retarget(port: number): void {
    this.#target = port;
  }

  /** Delays, throttles or tears what travels; what is left out stays as it is. */
  disturb(faults: Partial<Omit<PipeFaults, 'stalled' | 'swallowing'>>, directions = BOTH): void {
    this.#set(faults, directions);
  }

  /** Nothing is passed on, and nothing is lost: what was sent arrives after {@link heal}. */
  freeze(directions = BOTH): void {
    this.#set({ stalled: true }, directions);
  }

  /**
   * What is sent vanishes without a word, as behind a firewall that forgot the connection. A connection that lost bytes
   * in this way is dead in that direction for good, and its receiver does not hear of its end either.
   */
  blackhole(directions = BOTH): DeadConnections {
    this.#set({ swallowing: true }, directions);
    const pairs = [...this.#pairs];
    const count = (isOpen: (pair: Pair) => boolean) =>
      pairs.filter((pair) => (pair.up.severed || pair.down.severed) && isOpen(pair)).length;
    return {
      get callers() {
        return count(({ callerOpen }) => callerOpen);
      },
      get targets() {
        return count(({ targetOpen }) => targetOpen);
      },
    };
  }

  /** New connections are reset. */
  refuse(): void {
    this.#refusing = true;
  }

  /**
   * Ends what lasts: {@link disturb}, {@link freeze}, {@link blackhole}, {@link refuse}. A {@link cut} or {@link corrupt}
   * that has not happened will not happen any more; its promise stays open.
   */
  heal(): void {
    this.#refusing = false;
    this.#taps.clear();
    this.#set(NO_FAULTS, BOTH);
  }

  /** Resets every connection, on both sides. */
  reset(): void {
    for (const pair of [...this.#pairs]) pair.reset();
  }

  /** Ends one direction of every connection: its reader sees the end, and may go on sending. */
  halfClose(direction: Direction): void {
    for (const pair of this.#pairs) pair[direction].end();
  }

  /** Changes one bit in the middle of the next chunk that travels on any connection. Resolves when it is done. */
  corrupt(direction: Direction): Promise<void> {
    return this.#tap((done) => (chunk, _pair, towards) => {
      if (towards !== direction) return chunk;
      done();
      const changed = Buffer.from(chunk);
      changed[changed.length >> 1]! ^= 0x40;
      return changed;
    });
  }

  /**
   * Resets the first connection that gets to a point; resolves when that has happened.
   * `afterBytes`: so many bytes of it still arrive. `before` a chunk with that text: nothing of the chunk arrives.
   * `answerTo` a chunk with that text: the chunk arrives, and its answer does not.
   */
  cut(direction: Direction, at: CutPoint): Promise<void> {
    if ('afterBytes' in at) return this.#cutAfter(direction, at.afterBytes);
    return this.#tap((done) => {
      let asked: Pair | undefined;
      return (chunk, pair, towards) => {
        if (pair === asked && towards !== direction) {
          done();
          pair.reset();
          return undefined;
        }
        if (asked !== undefined || towards !== direction) return chunk;
        if ('answerTo' in at) {
          if (chunk.includes(at.answerTo)) asked = pair;
        } else if (chunk.includes(at.before)) {
          done();
          pair.reset();
          return undefined;
        }
        return chunk;
      };
    });
  }

  async close(): Promise<void> {
    this.reset();
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #cutAfter(direction: Direction, bytes: number): Promise<void> {
    const passed = new Map<Pair, number>();
    return this.#tap((done) => (chunk, pair, towards) => {
      if (towards !== direction) return chunk;
      const left = bytes - (passed.get(pair) ?? 0);
      passed.set(pair, bytes - left + chunk.length);
      if (chunk.length < left) return chunk;
      done();
      pair.resetAfter(direction, chunk.subarray(0, left));
      return undefined;
    });
  }

  /** Adds what `make` gives to the taps, until it says that it is done. */
  #tap(make: (done: () => void) => Tap): Promise<void> {
    return new Promise((resolve) => {
      const tap = make(() => {
        this.#taps.delete(tap);
        resolve();
      });
      this.#taps.add(tap);
    });
  }

  #set(faults: Partial<PipeFaults>, directions: readonly Direction[]): void {
    for (const direction of directions) {
      this.#faults[direction] = { ...this.#faults[direction], ...faults };
      for (const pair of this.#pairs) pair[direction].pump();
    }
  }

  #connected(client: Socket): void {
    if (this.#refusing) return void client.resetAndDestroy();
    const filter = (chunk: Buffer, pair: Pair, direction: Direction): Buffer | undefined => {
      let passed: Buffer | undefined = chunk;
      for (const tap of [...this.#taps]) passed = passed && tap(passed, pair, direction);
      return passed;
    };
    const target = connect({ port: this.#target, host: this.#host, allowHalfOpen: true, noDelay: true });
    const pair: Pair = new Pair(
      client,
      target,
      (direction) => this.#faults[direction],
      filter,
      () => this.#pairs.delete(pair),
    );
    this.#pairs.add(pair);
  }
}

/** One connection, and the one that was made for it to the target. */
class Pair {
  readonly up: FaultyPipe;
  readonly down: FaultyPipe;
  readonly #client: Socket;
  readonly #target: Socket;

  constructor(
    client: Socket,
    target: Socket,
    faults: (direction: Direction) => PipeFaults,
    filter: (chunk: Buffer, pair: Pair, direction: Direction) => Buffer | undefined,
    closed: () => void,
  ) {
    this.#client = client;
    this.#target = target;
    this.up = new FaultyPipe(
      client,
      target,
      () => faults('up'),
      (chunk) => filter(chunk, this, 'up'),
    );
    this.down = new FaultyPipe(
      target,
      client,
      () => faults('down'),
      (chunk) => filter(chunk, this, 'down'),
    );
    // Each error is followed by a close, which the other side does not always hear of.
    for (const socket of [client, target])
      socket.on('error', () => {
        if (!this.up.severed && !this.down.severed) this.reset();
      });
    client.on('close', () => this.#closed(target, this.up, closed));
    target.on('close', () => this.#closed(client, this.down, closed));
  }

  get callerOpen(): boolean {
    return !this.#client.closed && !this.#client.readableEnded;
  }

  get targetOpen(): boolean {
    return !this.#target.closed && !this.#target.readableEnded;
  }

  reset(): void {
    for (const socket of [this.#client, this.#target]) {
      if (socket.connecting) socket.destroy();
      else if (!socket.destroyed) socket.resetAndDestroy();
    }
  }

  /** Lets `bytes` arrive, behind everything that is on its way. */
  resetAfter(direction: Direction, bytes: Buffer): void {
    const receiver = direction === 'up' ? this.#target : this.#client;
    receiver.write(bytes, () => this.reset());
  }

  /** One side is gone: the other gets what is on its way, if it was to have an end, and goes as well, if it can hear of it. */
  #closed(other: Socket, way: FaultyPipe, closed: () => void): void {
    if (other.closed) closed();
    else if (way.severed) return;
    else if (other.writableEnded) other.destroySoon();
    else this.reset();
  }
}
