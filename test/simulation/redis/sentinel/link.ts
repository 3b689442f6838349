import type { Clock } from '../../../../src/core/clock.ts';
import type { Host } from '../../world/host.ts';
import type { Network } from '../../world/network.ts';
import { Together, type Wire } from '../../world/wire.ts';
import type { Reply } from '../replies.ts';

const RETRY_MS = 1_000;
const CONNECT_TIMEOUT_MS = 1_000;

/** A Sentinel's connection to another process, made again for ever. What is asked while it is away is not asked. */
export class SentinelLink {
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #network: Network;
  readonly #service: string;
  #wire: Wire | undefined;
  /** Of commands that were sent and are not answered. */
  #waiting: ((reply: Reply) => void)[] = [];
  #isClosed = false;

  constructor(host: Host, clock: Clock, network: Network, service: string) {
    this.#host = host;
    this.#clock = clock;
    this.#network = network;
    this.#service = service;
    this.#connect();
  }

  get isUp(): boolean {
    return this.#wire !== undefined;
  }

  /** How many commands are sent and not answered. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Sends commands in one go; `done` gets the reply to the last of them. */
  ask(commands: readonly (readonly string[])[], done: (reply: Reply) => void = () => {}): void {
    if (this.#wire === undefined) return;
    this.#waiting.push(...commands.slice(1).map(() => () => {}), done);
    this.#wire.send(new Together(commands), 64);
  }

  /** Ends the connection, and makes another. */
  renew(): void {
    const wire = this.#wire;
    if (wire === undefined) return;
    wire.reset();
    this.#lost(wire);
  }

  close(): void {
    this.#isClosed = true;
    this.#wire?.reset();
    this.#wire = undefined;
  }

  #connect(): void {
    if (this.#isClosed) return;
    this.#network.dial(this.#host, this.#service, CONNECT_TIMEOUT_MS).then(
      (wire) => {
        if (this.#isClosed) return wire.reset();
        this.#wire = wire;
        this.#waiting = [];
        wire.open({
          message: (message) => {
            for (const reply of (message as Together).messages) this.#waiting.shift()?.(reply as Reply);
          },
          closed: () => this.#lost(wire),
        });
      },
      () => this.#later(),
    );
  }

  #lost(wire: Wire): void {
    if (wire !== this.#wire) return;
    this.#wire = undefined;
    this.#waiting = [];
    this.#later();
  }

  #later(): void {
    this.#clock.setTimer(RETRY_MS, () => this.#connect());
  }
}
