import type { Clock } from '../../../../src/core/clock.ts';
import type { Host } from '../../world/host.ts';
import type { Network } from '../../world/network.ts';
import type { Wire } from '../../world/wire.ts';
import type { BusMessage } from './messages.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const MESSAGE_BYTES = 2_500;

/** A node's link to another one: made again for ever, by {@link BusLink.keep}. */
export class BusLink {
  readonly #host: Host;
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #to: string;
  readonly #received: (message: BusMessage) => void;
  #state: 'away' | 'connecting' | 'connected' = 'away';
  #wire: Wire | undefined;
  #sinceMs = 0;

  constructor(host: Host, network: Network, clock: Clock, to: string, received: (message: BusMessage) => void) {
    this.#host = host;
    this.#network = network;
    this.#clock = clock;
    this.#to = to;
    this.#received = received;
  }

  get isConnected(): boolean {
    return this.#state === 'connected';
  }

  /** How long it is connected. */
  get ageMs(): number {
    return this.#clock.monotonicMs() - this.#sinceMs;
  }

  /** Connects, when it is not; calls `connected` then. */
  keep(connected: () => void): void {
    if (this.#state !== 'away') return;
    this.#state = 'connecting';
    this.#network.dial(this.#host, busOf(this.#to), CONNECT_TIMEOUT_MS).then(
      (wire) => {
        this.#state = 'connected';
        this.#wire = wire;
        this.#sinceMs = this.#clock.monotonicMs();
        wire.open({ message: (message) => this.#received(message as BusMessage), closed: () => this.#lost(wire) });
        connected();
      },
      () => (this.#state = 'away'),
    );
  }

  send(message: BusMessage): void {
    this.#wire?.send(message, MESSAGE_BYTES);
  }

  /** Ends the connection, so that another one is made. */
  drop(): void {
    const wire = this.#wire;
    if (wire === undefined) return;
    wire.reset();
    this.#lost(wire);
  }

  #lost(wire: Wire): void {
    if (wire !== this.#wire) return;
    this.#wire = undefined;
    this.#state = 'away';
  }
}

/** Hears other nodes; what `reply` is given goes back to the one that sent. */
export function listenOnBus(host: Host, network: Network, hear: (message: BusMessage, reply: (answer: BusMessage) => void) => void): void {
  network.listen(host, busOf(host.name), (wire) =>
    wire.open({
      message: (message) => hear(message as BusMessage, (answer) => wire.send(answer, MESSAGE_BYTES)),
      closed: () => {},
    }),
  );
}

function busOf(host: string): string {
  return `bus of ${host}`;
}
