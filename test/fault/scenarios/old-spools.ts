import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openFileSpool } from '../../../src/client/file-spool.ts';
import { decodeBatch } from '../../../src/protocol/batch.ts';
import { readFrame } from '../../../src/protocol/frame.ts';
import { changeName } from '../../support/audit.ts';
import { freeze, thaw } from '../../support/freeze.ts';
import { within } from '../../support/within.ts';
import type { FaultWorld } from '../fault-world.ts';
import type { Scenario } from '../scenario.ts';

const MAX_PAUSE_MS = 200;

/**
 * A client is restored from an old copy of its spool. Whatever it sends from then on must be applied like everything else;
 * what the copy still held may take effect once more (`docs/client.md`), and where it held nothing, nothing may.
 */
export const OLD_SPOOLS: readonly Scenario[] = [
  {
    name: 'client-old-spool',
    what: 'the client is restarted with an older copy of its spool, which holds nothing in every other case',
    installation: 'services',
    async strike(world, { round, random }) {
      const { producer } = world;
      const folder = mkdtempSync(join(tmpdir(), 'syncline-copy-'));
      try {
        const copy = join(folder, 'spool');
        if (round % 2 === 0) {
          await leave(world);
          cpSync(producer.spool, copy, { recursive: true });
          producer.start();
        } else {
          await delay(random.below(MAX_PAUSE_MS));
          await freeze(producer.pid);
          cpSync(producer.spool, copy, { recursive: true });
          thaw(producer.pid);
        }
        for (const name of await heldChanges(copy)) world.repeatable.add(name);
        await world.advance();
        // What only the newer spool held would be lost, and rightly so.
        await leave(world);
        rmSync(producer.spool, { recursive: true });
        cpSync(copy, producer.spool, { recursive: true });
      } finally {
        rmSync(folder, { recursive: true });
      }
      world.spoolRestored = true;
      world.struck();
      producer.start();
    },
  },
];

/** Lets the client flush until everything is applied, and end. */
async function leave({ producer, patienceMs }: FaultWorld): Promise<void> {
  const code = await within(patienceMs, producer.stop('SIGTERM'), 'the client did not flush');
  if (code !== 0) throw new Error(`the client ended with ${code}: ${producer.output}`);
}

async function heldChanges(folder: string): Promise<string[]> {
  const spool = await openFileSpool(folder);
  const { held } = spool.restored;
  await spool.close();
  return held.flatMap(({ bytes }) =>
    decodeBatch(readFrame(bytes).payload).groups.flatMap(({ columns, rows }) =>
      rows.map((row) => changeName({ gen: Number(row[columns.indexOf('gen')]), n: Number(row[columns.indexOf('n')]) })),
    ),
  );
}
