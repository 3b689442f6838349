import { describe, expect, test } from 'vitest';
import { seededRandom, SurvivingSpool } from '../../test/support/client-world.ts';
import { FakeNetwork } from '../../test/support/fake-network.ts';
import { ModelServer } from '../../test/support/model-server.ts';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { type Client, connect } from './client.ts';

const KEYS = 12;
const STEPS = 250;

interface Run {
  readonly server: ModelServer;
  /** Rows that the program was sure of: `flush` said that they were spooled. */
  readonly sure: ReadonlySet<number>;
  readonly written: number;
  /** Rows that the client reported as refused. */
  readonly reported: ReadonlySet<number>;
  readonly backups: number;
  /** How often a client found its stream with other content. */
  readonly divergences: number;
}

/** A program that writes rows 1, 2, 3 … and is killed now and then, against a server to which anything happens. */
async function run(seed: number, withBackups: boolean): Promise<Run> {
  const random = new SeededRandom(seed);
  const clock = new VirtualClock();
  const network = new FakeNetwork();
  const server = new ModelServer(random);
  network.onConnect = (link) => server.accept(link);
  const sure = new Set<number>();
  const reported = new Set<number>();
  let spool = new SurvivingSpool();
  let backup: SurvivingSpool | undefined;
  let backups = 0;
  let divergences = 0;
  let starts = 0;
  let written = 0;
  let lastStart = 0;
  let alive = true;

  const start = async (): Promise<Client> => {
    lastStart = written;
    alive = true;
    const client = await connect({
      clock,
      spool,
      random: seededRandom(seed * 1000 + starts++),
      dialer: network.dialer,
      token: 'token',
      offline: true,
      batchBytes: 150,
      bufferBytes: 2500,
      lingerMs: 3,
    });
    client.on('diverged', () => (divergences += 1));
    client.on('rejected', ({ rows }) => {
      for (const { row } of rows) reported.add(row['n'] as number);
    });
    return client;
  };
  let client = await start();

  for (let step = 0; step < STEPS; step++) {
    const cities = client.table('cities');
    if (random.chance(0.5)) {
      for (let i = random.below(6); i > 0; i--) {
        written += 1;
        void cities.upsert({ id: random.below(KEYS), n: written, bad: random.chance(0.1) }).catch(() => {});
      }
    }
    if (random.chance(0.2)) {
      const [from, to, life] = [lastStart, written, starts];
      const spooled = () => {
        // The dead are sure of nothing.
        if (life !== starts || !alive) return;
        for (let n = from + 1; n <= to; n++) sure.add(n);
      };
      void client.flush({ until: 'spooled' }).then(spooled, () => {});
    }
    if (random.chance(0.02)) {
      // Killed: what was not durable is gone, the connection breaks, and nobody tells the old client.
      alive = false;
      spool = spool.reopen();
      network.links.at(-1)?.drop();
      abandon(client);
      client = await start();
    }
    if (withBackups && random.chance(0.02)) backup = spool.reopen();
    if (withBackups && backup !== undefined && random.chance(0.02)) {
      alive = false;
      network.links.at(-1)?.drop();
      abandon(client);
      spool = backup.reopen();
      backups += 1;
      // What was sure is so no longer for what is not in the backup: that is lost with the disk, unless it was applied.
      sure.clear();
      client = await start();
    }
    network.refusal = random.chance(0.1) ? 'nobody listens' : undefined;
    for (let i = 0; i < 3; i++) server.act();
    await clock.advance(random.below(4) === 0 ? random.below(400) : random.below(5));
  }
  network.refusal = undefined;
  const [from, to] = [lastStart, written];
  const flushed = { done: false };
  void client.flush().then(() => (flushed.done = true));
  for (let i = 0; i < 400 && !flushed.done; i++) {
    server.calm();
    await clock.advance(100);
  }
  expect(flushed.done, 'everything is applied once the faults are over').toBe(true);
  for (let n = from + 1; n <= to; n++) sure.add(n);
  return { server, sure, written, reported, backups, divergences };
}

/** What a killed process leaves: its client never hears of the world again. */
function abandon(client: Client): void {
  const gone = new AbortController();
  gone.abort(new Error('killed'));
  client.close({ flush: false, signal: gone.signal }).catch(() => {});
}

const SEEDS = Array.from({ length: Number(process.env['SEEDS'] ?? 150) }, (_, index) => index + 1);

describe('against a server that loses its queue, repeats itself, drops connections and asks again', () => {
  test('every row is applied or refused once, in order, none that was spooled is missing, and every refusal is reported', async () => {
    let rows = 0;
    for (const seed of SEEDS) {
      const { server, sure, reported, divergences } = await run(seed, false);
      expect(divergences, `seed ${seed}: a stream is never taken for another`).toBe(0);
      const done = [...server.applied, ...server.rejected];
      rows += done.length;
      expect(new Set(done.map(({ n }) => n)).size, `seed ${seed}: no row twice`).toBe(done.length);
      for (let partition = 0; partition < 3; partition++) {
        const order = server.applied.filter((row) => row.partition === partition).map(({ n }) => n);
        expect(order, `seed ${seed}: rows in order`).toEqual(order.toSorted((a, b) => a - b));
      }
      const there = new Set(done.map(({ n }) => n));
      expect(
        [...sure].filter((n) => !there.has(n)),
        `seed ${seed}: no row is missing`,
      ).toEqual([]);
      expect(
        server.rejected.filter(({ n }) => !reported.has(n)),
        `seed ${seed}: every refusal is reported`,
      ).toEqual([]);
    }
    expect(rows).toBeGreaterThan(10_000);
  });

  test('a spool that is restored from a backup loses nothing that was written since', async () => {
    let backups = 0;
    for (const seed of SEEDS.slice(0, 60)) {
      const result = await run(seed + 10_000, true);
      backups += result.backups;
      const there = new Set([...result.server.applied, ...result.server.rejected].map(({ n }) => n));
      expect(
        [...result.sure].filter((n) => !there.has(n)),
        `seed ${seed}: no row is missing`,
      ).toEqual([]);
    }
    expect(backups).toBeGreaterThan(50);
  });
});
