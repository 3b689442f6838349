import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { failpointEnv } from '../../fault/failpoint-env.ts';
import { frozen, thaw } from '../../support/freeze.ts';
import type { PairScenario } from '../pair-scenario.ts';
import { LEASE_MS, type ClusterMode } from '../pair-parts.ts';
import type { PairWorld } from '../pair-world.ts';
import type { ServerProcess } from '../../support/server-process.ts';

const FROZEN_MS = 10_000;
const OVERLAP_MS = 500;
const BEFORE_COMMIT = 'mysql: before COMMIT';
const MODES: readonly ClusterMode[] = ['standby', 'active'];

/** A node is frozen in a transaction for longer than its lease, and wakes up. */
export const ZOMBIES: readonly PairScenario[] = MODES.map((mode) => ({
  name: mode === 'standby' ? 'pair-zombie' : 'pair-zombie-active',
  what: `${mode === 'standby' ? 'the node that leads' : 'an active node'} is frozen between its data and COMMIT for 10 s, and wakes up`,
  world: {
    mode,
    nodeEnv: (index) => ({
      ...failpointEnv({ armed: { name: BEFORE_COMMIT, action: 'stop', visit: 1 }, trigger: triggerOf(index) }),
    }),
  },
  reach: { ms: LEASE_MS + 2_000, text: 'lease 3 s + 2 s', of: 'recovery' },
  async strike(world, { round }) {
    const index = mode === 'standby' ? world.nodes.indexOf(await world.leader()) : round % world.nodes.length;
    const node = world.nodes[index] as ServerProcess;
    writeFileSync(triggerOf(index), '');
    // Nobody may stand still later, when it is not expected.
    await frozen(node.pid).finally(() => rmSync(triggerOf(index), { force: true }));
    const frozenAtMs = performance.now();
    world.struck();
    try {
      await world.recovered();
      await expectNothingOpen(world, performance.now() - frozenAtMs);
      await delay(Math.max(0, frozenAtMs + FROZEN_MS - performance.now()));
    } finally {
      thaw(node.pid);
    }
    await delay(OVERLAP_MS);
  },
}));

/** Whoever removes this file stands still. */
function triggerOf(index: number): string {
  return join(tmpdir(), `syncline-trigger-${process.pid}-${index}`);
}

/** What was open when the node was frozen has been rolled back: its COMMIT, which is still to come, can only fail. */
async function expectNothingOpen({ mariadb }: PairWorld, frozenForMs: number): Promise<void> {
  const seconds = Math.floor(frozenForMs / 1_000);
  const open = await mariadb.query(
    `SELECT trx_mysql_thread_id AS id, trx_query AS query FROM information_schema.innodb_trx WHERE trx_started < NOW() - INTERVAL ${seconds} SECOND`,
  );
  if (open.length > 0) throw new Error(`transactions of the frozen node are still open: ${JSON.stringify(open)}`);
}
