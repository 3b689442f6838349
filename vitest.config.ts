import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take a minute or more, the longest first: begun last, one of them would keep a single core busy at the end. */
const LONG = [
  'test/simulation/simulation.test.ts',
  'test/integration/chaos.test.ts',
  'test/simulation/planted-bugs.test.ts',
  'test/simulation/small-worlds.test.ts',
  'test/fault/',
  'test/pair/',
  'test/fuzz/fuzz.test.ts',
  'test/simulation/mariadb/conformance/',
  'test/integration/outages.test.ts',
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
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Many tests wait for servers and files of their own: two at a time use two cores.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
