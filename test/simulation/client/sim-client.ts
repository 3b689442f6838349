import { connect, type Client, type ClientStatus, type Table } from '../../../src/client/client.ts';
import type { Clock } from '../../../src/core/clock.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import { dialerTo } from '../world/bytes.ts';
import type { Host } from '../world/host.ts';
import type { Network } from '../world/network.ts';
import { randomOf } from '../world/seeded.ts';
import { Ledger } from '../checker/ledger.ts';
import { TYPE, unpack, type WireFrame } from '../checker/wire.ts';
import type { KeySpace } from './key-space.ts';
import { SpoolDisk } from './spool-disk.ts';
import { type Tap, tapped } from './tap.ts';

/** What a client meets on its way, for the checks that cannot wait for the end. */
export interface ClientWitness {
  /** A connection was made. Returns how often a backup of the database was restored before. */
  connected(): number;
  /** APPLIED reached the client, over a connection that was made after so many restored backups. */
  told(client: SimClient, stream: string, partition: number, seq: number, restoreCount: number): void;
  /** The client forgot everything up to `seq`. */
  forgot(client: SimClient, stream: string, partition: number, seq: number): void;
  /** The client has stopped, because the database lacks what it was told is applied. */
  regressed(client: SimClient): void;
  fault(message: string): void;
}

export interface SimClientOptions {
  readonly host: Host;
  readonly network: Network;
  readonly random: SeededRandom;
  /** Draws the door that it connects to. */
  readonly door: (random: SeededRandom) => string;
  readonly witness: ClientWitness;
  readonly keys: KeySpace;
  /** How many keys it writes again and again. */
  readonly keyCount: number;
  /** Draws how long it waits before it writes again, ms. */
  readonly pauseMs: (random: SeededRandom) => number;
  /** The share of writes that the database refuses. */
  readonly poisonShare: number;
  /** The share of writes to tables whose rows depend on one another; none when it is left out. */
  readonly familyShare?: number;
  /** What it writes, step by step over all its processes; without it, it writes what chance says until it is told to stop. */
  readonly script?: readonly Step[];
}

/** The tables that a client writes. */
export interface Tables {
  readonly event: Table;
  readonly item: Table;
  readonly parent: Table;
  readonly child: Table;
}

/** A step of a script. */
export interface Step {
  readonly afterMs: number;
  write(tables: Tables): Promise<unknown>;
}

/** A client that writes until it is told to stop, through as many processes as it takes, and notes what it was told. */
export class SimClient {
  readonly ledger: Ledger;
  readonly disk: SpoolDisk;
  readonly host: Host;
  readonly #options: SimClientOptions;
  /** Grows with every change, over all processes. */
  #n = 0;
  #client: Client | undefined;
  #isWriting = true;
  /** How many steps of the script are begun. */
  #stepCount = 0;
  /** Set when everything that was written is applied. */
  isDone = false;

  constructor(options: SimClientOptions) {
    this.#options = options;
    this.host = options.host;
    this.ledger = new Ledger(options.host.name);
    this.disk = new SpoolDisk(options.random, {
      appended: (stream, frames) => this.ledger.appended(stream, frames),
      backupRestored: () => this.ledger.backupRestored(),
      restarted: (stream, frames) => this.ledger.restarted(stream, frames),
      forgotten: (stream, partition, seq) => options.witness.forgot(this, stream, partition, seq),
    });
  }

  boot(onRegressed: 'stop' | 'new-stream' = 'stop'): void {
    const { host, network, random, door, witness } = this.#options;
    const clock = host.boot();
    const dialer = { connect: (signal: AbortSignal) => dialerTo(network, host, door(random)).connect(signal) };
    void connect({
      token: 'a token',
      offline: true,
      clock,
      random: randomOf(random),
      dialer: tapped(dialer, () => this.#tap()),
      spool: this.disk.open(clock),
      batchBytes: 400,
      lingerMs: 5,
      bufferBytes: 20_000,
      onRegressed,
    }).then((client) => {
      this.#client = client;
      client.on('error', ({ code, message }) => {
        if (code === 'sink_regressed') witness.regressed(this);
        else witness.fault(`${host.name} has stopped: ${code}: ${message}`);
      });
      // Why a client has stopped is told by its event.
      this.#write(client, clock).catch(() => {});
    });
  }

  /** Whether anything is not applied, as far as the client knows. */
  get isHolding(): boolean {
    return this.disk.held.length > 0 || (this.#client?.status().pendingChanges ?? 0) > 0;
  }

  /** Writes no more, and is done when everything is applied. */
  finish(): void {
    this.#isWriting = false;
  }

  status(): ClientStatus | undefined {
    return this.#client?.status();
  }

  async #write(client: Client, clock: Clock): Promise<void> {
    const tables: Tables = {
      event: client.table('event', { key: ['id'] }),
      item: client.table('item', { key: ['id'] }),
      parent: client.table('parent', { key: ['id'] }),
      child: client.table('child', { key: ['id', 'parent_id'] }),
    };
    const { script } = this.#options;
    if (script === undefined) await this.#writeByChance(tables, clock);
    else await this.#writeScript(script, tables, clock);
    await client.flush();
    this.isDone = true;
  }

  async #writeByChance(tables: Tables, clock: Clock): Promise<void> {
    const { random, pauseMs, familyShare = 0 } = this.#options;
    while (this.#isWriting) {
      const burst = random.chance(0.2) ? 1 + random.below(8) : 1;
      for (let i = 0; i < burst; i++) {
        if (random.chance(familyShare)) await this.#writeFamily(tables);
        else await this.#writeOne(tables);
      }
      await pause(clock, pauseMs(random));
    }
  }

  async #writeScript(script: readonly Step[], tables: Tables, clock: Clock): Promise<void> {
    for (const { afterMs, write } of script.slice(this.#stepCount)) {
      await pause(clock, afterMs);
      this.#stepCount++;
      await write(tables);
    }
  }

  #writeOne({ event, item }: Tables): Promise<void> {
    const { random, keys, keyCount, poisonShare } = this.#options;
    const n = ++this.#n;
    const isPoison = random.chance(poisonShare);
    const note = isPoison && random.chance(0.5) ? 'x'.repeat(60) : `note ${n}`;
    if (random.chance(0.4)) {
      // A key that was written before is refused as a duplicate.
      const id = keys.key('event', isPoison && n > 1 ? 1 + random.below(n - 1) : n);
      return event.insert({ id, note });
    }
    const id = keys.key('item', random.below(keyCount));
    if (isPoison && random.chance(0.3)) return item.upsert({ id, n, colour: 'there is no such column' });
    switch (random.below(8)) {
      case 0:
        return item.update({ id, n });
      case 1:
        return item.delete({ id });
      case 2:
        return item.insert({ id, n, note });
      default:
        return item.upsert({ id, n, note });
    }
  }

  /** Some of it is refused: a child without a parent, a parent that has children, a code that another child has. */
  #writeFamily({ parent, child }: Tables): Promise<void> {
    const { random, keys, keyCount } = this.#options;
    const n = ++this.#n;
    const parentId = keys.key('family', random.below(keyCount));
    if (random.chance(0.35)) return random.chance(0.6) ? parent.upsert({ id: parentId, n }) : parent.delete({ id: parentId });
    const key = { id: random.below(4), parent_id: parentId };
    const code = random.chance(0.5) ? random.below(5) : null;
    switch (random.below(5)) {
      case 0:
        return child.insert({ ...key, n, code });
      case 1:
        return child.update({ ...key, n, code });
      case 2:
        return child.update({ ...key, n });
      case 3:
        return child.delete(key);
      default:
        return child.upsert({ ...key, n, code });
    }
  }

  /** Notes what one connection carries. */
  #tap(): Tap {
    const { witness } = this.#options;
    const restoreCount = witness.connected();
    let stream = '';
    return {
      sent: (frame) => {
        if (frame.type === TYPE.hello)
          stream = Buffer.from((unpack(frame.payload) as Map<string, Uint8Array>).get('stream')!).toString('hex');
        if (frame.type !== TYPE.batch) return;
        const fault = this.ledger.sent(stream, frame);
        if (fault !== undefined) witness.fault(fault);
      },
      received: (frame) => {
        if (frame.type === TYPE.rejected) this.ledger.rejected(stream, frame);
        if (frame.type === TYPE.applied) this.#applied(stream, frame, restoreCount);
      },
    };
  }

  #applied(stream: string, { partition, seq }: WireFrame, restoreCount: number): void {
    const lane = `${stream} ${partition}`;
    if (seq <= (this.ledger.applied.get(lane) ?? 0)) return;
    this.#options.witness.told(this, stream, partition, seq, restoreCount);
    this.ledger.applied.set(lane, seq);
  }
}

function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimer(delayMs, resolve));
}
