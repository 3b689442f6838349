import { rmSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { checkPatches } from '../support/source-patches.ts';
import { failpointEnv, failpointPatches, parseArmed, readFailpointLog } from './failpoint-env.ts';
import { FAILPOINTS, installationsOf } from './failpoints.ts';
import { FaultWorld, missingFor } from './fault-world.ts';

test('there are many, each with a name of its own, and each place is there', () => {
  expect(new Set(FAILPOINTS.map(({ name }) => name)).size).toBe(FAILPOINTS.length);
  expect(FAILPOINTS.length).toBeGreaterThan(80);
  for (const { place } of FAILPOINTS) expect(place.split('‸')).toHaveLength(2);
  checkPatches(failpointPatches(FAILPOINTS));
});

test('what is armed is written and read', () => {
  const armed = { name: 'hello: received', action: 'kill', visit: 12 } as const;
  expect(parseArmed(failpointEnv({ armed, log: '' })['FAILPOINT'] ?? '')).toEqual(armed);
  expect(parseArmed('append: after:250')).toEqual({ name: 'append: after', action: 250, visit: 1 });
  expect(() => parseArmed('append: after:explode')).toThrow(/FAILPOINT is "append: after:explode"/);
});

describe.each(['services', 'embedded'] as const)('under load, with the %s installation', (installation) => {
  const missing = missingFor(installation);
  const places = FAILPOINTS.filter((place) => installationsOf(place).includes(installation));

  test.skipIf(missing !== undefined)(
    `every one of the ${places.length} places is visited in a run without faults`,
    { timeout: 60_000 },
    async () => {
      const world = await FaultWorld.start(installation);
      onTestFinished(() => world.close());
      const env = failpointEnv({ places, log: world.failpointLog });
      await world.producer.stop('SIGKILL');
      await world.server.stop('SIGKILL');
      rmSync(world.producer.spool, { recursive: true });
      const unvisited = (wanted = places) => {
        const visited = readFailpointLog(world.failpointLog);
        return wanted.map(({ name }) => name).filter((name) => !visited.has(name));
      };
      world.server.launch(env);
      world.producer.start(env);
      await world.advance();
      if (installation === 'services') await world.services.redis.command('FLUSHALL');
      await world.advance();
      // Once more, over what a kill left.
      await world.producer.stop('SIGKILL');
      world.producer.start(env);
      const before = places.filter(({ reached }) => reached !== 'stop');
      await eventually(() => expect(unvisited(before)).toEqual([]), 25_000);
      expect(await world.server.stop('SIGTERM')).toBe(0);
      expect(unvisited()).toEqual([]);
      const visited = readFailpointLog(world.failpointLog);
      expect([...visited].filter((name) => name.endsWith('!'))).toEqual([]);
    },
  );
});
