import type { Logger } from '../admin/log.ts';
import type { DatagramsState } from '../admin/state.ts';
import type { Address, Config } from '../config/config.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { type DatagramOutcome, Datagrams, type DatagramSettings } from '../ingest/datagrams.ts';
import { readKernelDrops } from '../ingest/kernel-drops.ts';
import { hashToken } from '../ingest/producers.ts';
import { createUdpDoor } from '../ingest/udp.ts';
import type { Queue } from '../queue/queue.ts';
import { LocalProducers } from './local-producers.ts';
import type { Node } from './node.ts';

export interface UdpParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly queue: Pick<Queue, 'admission'>;
  readonly node: Pick<Node, 'sessions' | 'appender' | 'takesRequests' | 'authenticator'>;
}

/** The door for datagrams of a node, and all that lies between it and the sessions. */
export interface Udp extends DatagramsState {
  readonly address: Address;
  /** From now on datagrams are held to `settings`. */
  configure(settings: DatagramSettings): void;
  /** Reads nothing more, and waits a moment until what was taken is stored. */
  close(): Promise<void>;
}

/** Dropped datagrams are told together, so often at most. */
const GATHER_MS = 30_000;

/** Opens the door if there is to be one. @throws {SyncError} `listen_failed`. */
export async function startUdp(config: Config['listen']['udp'], parts: UdpParts): Promise<Udp | undefined> {
  const { host, port, recvBufferBytes } = config;
  if (port === undefined) return undefined;
  const { clock, random, logger, queue, node } = parts;
  let unsendableChanges = 0;
  const producers = new LocalProducers({
    clock,
    random,
    log: logger,
    sessions: node.sessions,
    bufferBytes: config.bufferBytes,
    unsendable: () => void unsendableChanges++,
  });
  const datagrams = new Datagrams(
    {
      clock,
      writer: producers,
      producerOf: (token, address) => node.authenticator.producerOf(hashToken(token), address),
      isOpen: () => queue.admission.state === 'open' && node.takesRequests && !node.appender.isFull,
    },
    config,
  );
  const drops = new DropLog(clock, logger, datagrams.counts);
  const door = createUdpDoor({ host, port, recvBufferBytes, log: logger }, (bytes, address) => {
    if (datagrams.take(bytes, address) !== 'accepted') drops.dropped(address);
  });
  await door.start();
  return {
    address: door.address,
    counts: datagrams.counts,
    get unsendableChanges() {
      return unsendableChanges;
    },
    kernelDrops: () => readKernelDrops(door.address.port),
    configure: (settings) => datagrams.configure(settings),
    close: async () => {
      await door.close();
      drops.close();
      await producers.close();
    },
  };
}

/** Writes to the log how many datagrams were dropped, and why: whoever sends them hears nothing. */
class DropLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #counts: Readonly<Record<DatagramOutcome, number>>;
  #told: Readonly<Record<string, number>> = {};
  #lastAddress = '';
  #timer: Timer | undefined;

  constructor(clock: Clock, logger: Logger, counts: Readonly<Record<DatagramOutcome, number>>) {
    this.#clock = clock;
    this.#logger = logger;
    this.#counts = counts;
  }

  dropped(address: string): void {
    this.#lastAddress = address;
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.#tell());
  }

  /** Tells what has been gathered. */
  close(): void {
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#tell();
  }

  #tell(): void {
    this.#timer = undefined;
    const { accepted: _, ...counts } = this.#counts;
    const news = Object.entries(counts).map(([outcome, count]) => [outcome, count - (this.#told[outcome] ?? 0)] as const);
    this.#told = counts;
    const dropped = Object.fromEntries(news.filter(([, count]) => count > 0));
    this.#logger.warn({ dropped, address: this.#lastAddress }, 'datagrams were dropped; the address is that of the last one');
  }
}
