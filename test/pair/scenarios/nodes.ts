import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../support/eventually.ts';
import type { ServerProcess } from '../../support/server-process.ts';
import type { PairScenario } from '../pair-scenario.ts';
import { LEASE_MS, type ClusterMode } from '../pair-parts.ts';
import type { PairWorld } from '../pair-world.ts';
import type { Turn } from '../../fault/scenario.ts';

const MAX_PAUSE_MS = 200;
const FLAP_MS = 1_000;
const FLAPS = 60;
const STAY_MS = 5_000;
/** For how long a node is ready before the next is restarted, as docs/upgrading.md says: of several, it has its partitions by then. */
const READY_MS = 5_000;
const MODES: readonly ClusterMode[] = ['standby', 'active'];

/** Nodes are killed, stopped, restarted; one comes and goes. */
export const NODES: readonly PairScenario[] = [
  ...MODES.map((mode): PairScenario => ({
    name: named('pair-node-kill', mode),
    what: mode === 'standby' ? 'the node that leads is killed' : 'one of two active nodes is killed',
    world: { mode },
    reach: { ms: LEASE_MS + 1_000, text: 'lease 3 s + 1 s', of: 'recovery' },
    async strike(world, turn) {
      const node = await victim(world, turn);
      await delay(turn.random.below(MAX_PAUSE_MS));
      await node.stop('SIGKILL');
      world.struck();
    },
  })),
  ...MODES.map((mode): PairScenario => ({
    name: named('pair-rolling-restart', mode),
    what: `both ${mode === 'standby' ? 'nodes' : 'active nodes'} are stopped and started, one after the other, the leading one first`,
    world: { mode },
    reach: { ms: 500, text: '500 ms', of: 'standstill' },
    isQuiet: true,
    async strike(world, turn) {
      const first = await victim(world, turn);
      world.struck();
      for (const node of [first, ...world.nodes.filter((one) => one !== first)]) {
        await node.stop('SIGTERM');
        await node.start();
        await world.settled();
        await delay(READY_MS);
      }
    },
  })),
  {
    name: 'pair-node-flap',
    what: 'the node that does not lead is killed and started every second for a minute',
    world: { mode: 'standby' },
    reach: { ms: 1_000, text: 'time to reconnect, 1 s', of: 'standstill' },
    async strike(world) {
      const leader = await world.leader();
      const node = world.nodes.find((one) => one !== leader) as ServerProcess;
      world.struck();
      for (let i = 0; i < FLAPS; i++) {
        await node.stop('SIGKILL');
        node.launch();
        await delay(FLAP_MS);
      }
      await node.answers();
    },
  },
  {
    name: 'pair-node-joins',
    what: 'a third active node joins, stays for some seconds, and leaves',
    world: { mode: 'active', nodes: 3, absent: 1 },
    reach: { ms: 1_000, text: '1 s', of: 'standstill' },
    async strike(world) {
      const third = world.nodes[2] as ServerProcess;
      world.struck();
      await third.start();
      await eventually(async () => {
        if (!(await third.ready())) throw new Error(`the third node is not ready: ${third.output.slice(-1000)}`);
      }, world.patienceMs);
      await delay(STAY_MS);
      await third.stop('SIGTERM');
    },
  },
];

function named(name: string, mode: ClusterMode): string {
  return mode === 'standby' ? name : `${name}-${mode}`;
}

/** The one that leads; where all do, each in its turn. */
async function victim(world: PairWorld, { round }: Turn): Promise<ServerProcess> {
  return world.mode === 'standby' ? world.leader() : (world.nodes[round % world.nodes.length] as ServerProcess);
}
