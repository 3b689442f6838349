import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { COMPILE_CACHE } from './test/support/compile-cache.ts';

/**
 * Files that take twenty seconds or more. The longest come first: begun last, one of them would run alone at the end. Those
 * that mostly compute and those that mostly wait for servers take turns, so that the cores are neither idle nor fought over.
 */
const LONG = [
  'test/simulation/simulation.test.ts',
  'test/integration/redis-sentinel.test.ts',
  'test/simulation/planted-bugs.test.ts',
  'test/integration/redis-failover.test.ts',
  'test/contract/listener.test.ts',
  'test/fault/kills.test.ts',
  'test/pair/pair.test.ts',
  'test/fault/networks.test.ts',
  'test/integration/redis-cluster.test.ts',
  'test/integration/chaos.test.ts',
  'test/contract/queue.test.ts',
  'test/fuzz/fuzz.test.ts',
  'test/integration/planned-stops.test.ts',
  'test/fault/',
  'test/simulation/mariadb/conformance/',
  'test/simulation/mariadb/sink-contract.test.ts',
  'test/security/',
  'test/simulation/small-worlds.test.ts',
  'test/integration/reload.test.ts',
  'test/integration/tcp-tls.test.ts',
  'test/integration/access.test.ts',
  'test/browser/',
  'src/ingest/http/http-api.test.ts',
  'test/contract/uws.test.ts',
  'test/support/redis-groups.test.ts',
  'test/integration/outages.test.ts',
  'test/pair/',
  'test/integration/cli.test.ts',
  'test/simulation/redis/sentinel/conformance.test.ts',
  'test/model/model.test.ts',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = LONG.findIndex((path) => moduleId.includes(path));
      return place < 0 ? LONG.length : place;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'bench/**/*.test.ts'],
    // Many tests wait for servers of their own: three at a time keep two cores busy.
    maxWorkers: 3,
    // For whatever they start.
    env: COMPILE_CACHE,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
