import type { Clock, Timer } from '../../../src/core/clock.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import { Together, type Wire } from '../world/wire.ts';
import type { StreamMessage } from './changes.ts';

/** Where a server is: the name of its service, which is its host, and a port that only is passed on. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface UpstreamParts {
  readonly host: Host;
  readonly network: Network;
  readonly clock: Clock;
  readonly port: number;
  /** What is there already: whose stream, and how far. */
  position(): { readonly replid: string; readonly offset: number };
  /** Takes what the primary sends. */
  received(message: StreamMessage): void;
  /** The primary is away, or a part of its stream will never come. */
  lost(): void;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** How often a replica tells how far it is, and tries to connect. */
const CRON_MS = 1_000;
/** How long a primary may be silent: `repl-timeout`. */
const SILENCE_MS = 60_000;

/**
 * A replica's connection to its primary.
 *
 * connect → connecting → sync (asked where to begin) → connected → connect (lost) → …
 */
export class Upstream {
  readonly primary: Address;
  readonly #parts: UpstreamParts;
  #state: 'connect' | 'connecting' | 'sync' | 'connected' = 'connect';
  #wire: Wire | undefined;
  #timer: Timer | undefined;
  #heardMs = 0;
  #isOver = false;

  constructor(primary: Address, parts: UpstreamParts) {
    this.primary = primary;
    this.#parts = parts;
    this.#connect();
    this.#tick();
  }

  get state(): string {
    return this.#state;
  }

  get isConnected(): boolean {
    return this.#state === 'connected';
  }

  /** Tells the primary how far this server is. */
  acknowledge(): void {
    if (this.#state === 'connected') this.#send('REPLCONF', 'ACK', String(this.#parts.position().offset));
  }

  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#wire?.reset();
    this.#wire = undefined;
  }

  #connect(): void {
    const { network, host, clock } = this.#parts;
    this.#state = 'connecting';
    network.dial(host, this.primary.host, CONNECT_TIMEOUT_MS).then(
      (wire) => {
        if (this.#isOver) return wire.reset();
        this.#wire = wire;
        this.#state = 'sync';
        this.#heardMs = clock.monotonicMs();
        wire.open({
          message: (message) => this.#received(wire, message),
          closed: () => this.#lost(wire),
        });
        const { replid, offset } = this.#parts.position();
        this.#send('PSYNC', replid, String(offset + 1), String(this.#parts.port));
      },
      () => {
        if (!this.#isOver) this.#state = 'connect';
      },
    );
  }

  #received(wire: Wire, message: unknown): void {
    if (wire !== this.#wire) return;
    this.#heardMs = this.#parts.clock.monotonicMs();
    // An answer instead of a stream is a refusal: it loads, or has lost its own primary.
    if (message instanceof Together) return this.#abandon();
    const stream = message as StreamMessage;
    if (stream.kind === 'full' || stream.kind === 'continue') this.#state = 'connected';
    this.#parts.received(stream);
    if (stream.kind !== 'unit') this.acknowledge();
  }

  #abandon(): void {
    this.#wire?.reset();
    this.#wire = undefined;
    this.#state = 'connect';
    this.#parts.lost();
  }

  #lost(wire: Wire): void {
    if (this.#isOver || wire !== this.#wire) return;
    this.#wire = undefined;
    this.#parts.lost();
    // At once, and then with the timer.
    this.#connect();
  }

  #tick(): void {
    const { clock } = this.#parts;
    this.#timer = clock.setTimer(CRON_MS, () => {
      this.#tick();
      if (this.#wire !== undefined && clock.monotonicMs() - this.#heardMs > SILENCE_MS) this.#abandon();
      if (this.#state === 'connect') this.#connect();
      this.acknowledge();
    });
  }

  #send(...args: readonly string[]): void {
    this.#wire?.send(new Together([args]), 64);
  }
}
