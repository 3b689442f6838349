import { describe, expect, test } from 'vitest';
import { checkRows } from '../../bench/peers/check-rows.ts';
import { firstChanges } from '../../bench/peers/first-changes.ts';
import { ingestPeers, peers } from '../../bench/peers/index.ts';
import { packagesInstalled } from '../../bench/peers/packages.ts';
import { createPipeline, startRedisQueue } from '../../bench/peers/pipeline.ts';
import { presentItem } from '../../bench/workload.ts';
import { mariadbAvailable } from '../support/mariadb-server.ts';
import { redisAvailable } from '../support/redis-server.ts';

const CHANGES = 300;

// Nothing else needs what the peers are made of: where it is not installed they are skipped, in CI too.
describe.each([...peers, ...ingestPeers])('$name', (peer) => {
  // What is sent to warm up are inserts, and checked too.
  test('brings all changes of hot keys to where they belong', async (context) => {
    const missing = packagesInstalled() ? await peer.missing() : 'npm ci --prefix bench/peers';
    if (missing !== undefined) return context.skip(missing);
    const { count, seconds } = await peer.measure({ kind: 'hot-keys', changes: CHANGES, seed: 7 });
    expect(count).toBe(CHANGES);
    expect(seconds).toBeGreaterThan(0);
  });
});

describe.skipIf(!redisAvailable() || !mariadbAvailable())('a pipeline', () => {
  const measure = async (consumer: string) => {
    const pipeline = createPipeline({
      name: 'careless',
      title: 'writes nothing',
      missing: () => Promise.resolve(undefined),
      warmUpChanges: CHANGES,
      order: 'kept',
      startQueue: startRedisQueue,
      producer: ['sh', '-c', 'echo ready; read begin; echo done'],
      consumer: ['sh', '-c', consumer],
    });
    await pipeline.measure({ kind: 'inserts', changes: CHANGES, seed: 7 });
  };

  test('whose consumer loses changes is not measured', async () => {
    await expect(measure('echo ready; echo done')).rejects.toThrow(`the table has 0 rows instead of ${CHANGES}`);
  });

  test('whose consumer ends too early says what that complained of', async () => {
    await expect(measure('echo ready; echo no such table >&2; exit 1')).rejects.toThrow(/ended early: no such table/);
  });

  test('whose consumer fails behind the last change is not measured', async () => {
    await expect(measure('echo ready; echo done; exit 3')).rejects.toThrow(/ended with 3/);
  });
});

describe('rows that were written', () => {
  const workload = { kind: 'hot-keys', changes: 100, seed: 7 } as const;
  const changes = firstChanges(workload, 60);
  const last = new Map(changes.map((item) => [item[0], item]));
  const rows = Array.from({ length: 100 }, (_, index) => last.get(index + 1) ?? presentItem(index + 1));
  const twice = changes.find((item) => last.get(item[0]) !== item);
  const late = rows.map((row) => (row[0] === twice?.[0] ? twice : row));

  test('are right when each holds its last change', () => {
    expect(changes).toHaveLength(60);
    expect(() => checkRows(rows, workload, changes, 'kept')).not.toThrow();
    expect(() => checkRows(rows, workload, changes, 'any')).not.toThrow();
  });

  test('may hold an earlier change only where order is not kept', () => {
    expect(() => checkRows(late, workload, changes, 'kept')).toThrow(`instead of ${last.get(twice?.[0] ?? 0)?.join('\t')}`);
    expect(() => checkRows(late, workload, changes, 'any')).not.toThrow();
  });

  test('are wrong when one that was changed is as it was before', () => {
    const id = changes[0]?.[0] ?? 0;
    const unchanged = rows.map((row) => (row[0] === id ? presentItem(id) : row));
    expect(() => checkRows(unchanged, workload, changes, 'any')).toThrow(`the table has the row ${id}\t`);
  });

  test('are wrong when one is missing', () => {
    expect(() => checkRows(rows.slice(1), workload, changes, 'any')).toThrow('the table has 99 rows instead of 100');
  });
});
