import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { freeze, thaw } from '../support/freeze.ts';
import { patchedEnv, type SourcePatch } from '../support/source-patches.ts';
import { FaultWorld, missingFor } from './fault-world.ts';

/** What STORED is for: the client may not forget yet. */
const HASTY: SourcePatch = {
  name: 'APPLIED is told when a frame is stored',
  file: 'src/ingest/acknowledgements.ts',
  find: 'lane.storedDue = true;',
  replace: 'lane.storedDue = true; lane.applied = place; lane.appliedDue = true;',
};

test.skipIf(missingFor('services') !== undefined)(
  'a server with a planted bug loses rows, and the audit finds them',
  { timeout: 60_000 },
  async () => {
    const world = await FaultWorld.start('services');
    onTestFinished(() => world.close());
    const { redis, mariadb } = world.services;
    await world.server.stop('SIGKILL');
    world.server.launch(patchedEnv([HASTY]));
    await world.server.answers();
    await world.advance();
    // For a while, Redis alone has what is stored; then nobody has.
    await freeze(mariadb.pid);
    await delay(500);
    await redis.command('FLUSHALL');
    thaw(mariadb.pid);
    const { lost, duplicated } = await world.audit();
    expect(lost.length).toBeGreaterThan(0);
    expect(duplicated).toEqual([]);
  },
);
