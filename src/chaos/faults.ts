import { setTimeout as delay } from 'node:timers/promises';
import type { ClientProcess } from './client-process.ts';
import type { Direction, FaultProxy } from './fault-proxy.ts';
import { runHook } from './hook.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A client, and its way to the server. */
export interface Station {
  readonly client: ClientProcess;
  readonly way: FaultProxy;
}

/** What a fault has at hand. */
export interface Scene {
  readonly stations: readonly Station[];
  readonly random: SeededRandom;
  /** Steps that a burst adds to each client. */
  readonly burstSteps: number;
}

export interface Fault {
  readonly name: string;
  /** What happens, for people. */
  readonly what: string;
  /** Lets it happen; resolves with the details when its cause has gone again. @throws {HookFailure} */
  inflict(scene: Scene): Promise<string>;
}

/** A command of the user failed, so that nobody knows whether the fault has happened. */
export class HookFailure extends Error {
  override readonly name = 'HookFailure';
}

const MAX_CUT_BYTES = 20_000;
/** A cut or a corruption waits for bytes to travel; where none do, the connection is reset instead. */
const TRAFFIC_MS = 5_000;

/** Every fault that the side of the clients can inject, on any server. */
export const CLIENT_FAULTS: readonly Fault[] = [
  {
    name: 'kill-client',
    what: 'clients are killed with SIGKILL and started again on their spools',
    inflict: (scene) =>
      onSome(scene, async ({ client }, random) => {
        await client.kill();
        await delay(random.below(300));
        client.start();
      }),
  },
  ...(process.platform === 'win32'
    ? []
    : [
        lasting('pause-client', 'clients stand still (SIGSTOP) and go on (SIGCONT)', 3000, {
          begin: ({ client }) => client.pause(),
          end: ({ client }) => client.resume(),
        }),
      ]),
  {
    name: 'burst',
    what: 'clients write many changes at once',
    inflict: (scene) => onSome(scene, async ({ client }) => client.burst(scene.burstSteps), `${scene.burstSteps} steps each`),
  },
  { name: 'reset', what: 'connections are reset', inflict: (scene) => onSome(scene, async ({ way }) => way.reset()) },
  {
    name: 'half-close',
    what: 'one direction of connections ends',
    inflict: async (scene) => {
      const direction = directionOf(scene.random);
      return onSome(scene, async ({ way }) => way.halfClose(direction), towards(direction));
    },
  },
  {
    name: 'cut',
    what: 'connections are reset in the middle of a frame',
    inflict: async (scene) => {
      const direction = directionOf(scene.random);
      const afterBytes = 1 + scene.random.below(MAX_CUT_BYTES);
      return onSome(
        scene,
        ({ way }) => inTraffic(way, way.cut(direction, { afterBytes })),
        `${towards(direction)} after ${afterBytes} bytes`,
      );
    },
  },
  {
    name: 'corrupt',
    what: 'one bit changes on the way',
    inflict: async (scene) => {
      const direction = directionOf(scene.random);
      return onSome(scene, ({ way }) => inTraffic(way, way.corrupt(direction)), towards(direction));
    },
  },
  lasting('refuse', 'connections are reset, and new ones refused for a while', 2000, {
    begin({ way }) {
      way.refuse();
      way.reset();
    },
    end: ({ way }) => way.heal(),
  }),
  lasting('freeze', 'nothing passes for a while, and nothing is lost', 2000, {
    begin: ({ way }, directions) => way.freeze(directions),
    end: ({ way }) => way.heal(),
  }),
  lasting('blackhole', 'what is sent vanishes for a while; then the connections are reset', 2000, {
    begin: ({ way }, directions) => way.blackhole(directions),
    end({ way }) {
      way.heal();
      // Bytes are missing in the middle: no connection goes on after that.
      way.reset();
    },
  }),
  lasting('delay', 'everything arrives later, unsteadily', 3000, {
    begin: ({ way }) => way.disturb({ latencyMs: 100, jitterMs: 200 }),
    end: ({ way }) => way.heal(),
  }),
  lasting('slow', 'connections have little bandwidth', 3000, {
    begin: ({ way }) => way.disturb({ bytesPerSecond: 2_000 }),
    end: ({ way }) => way.heal(),
  }),
  lasting('slice', 'everything arrives byte by byte', 2000, {
    begin: ({ way }) => way.disturb({ sliceBytes: 1 }),
    end: ({ way }) => way.heal(),
  }),
];

interface Lasting {
  readonly begin: (station: Station, directions: readonly Direction[]) => void;
  readonly end: (station: Station) => void;
}

/** A fault that holds for up to `maxMs`. */
function lasting(name: string, what: string, maxMs: number, { begin, end }: Lasting): Fault {
  return {
    name,
    what,
    inflict: (scene) => {
      const ms = Math.round(maxMs / 10) + scene.random.below(Math.round((maxMs * 9) / 10));
      const directions = scene.random.pick<readonly Direction[]>([['up'], ['down'], ['up', 'down']]);
      return onSome(
        scene,
        async (station) => {
          begin(station, directions);
          await delay(ms);
          end(station);
        },
        `for ${ms} ms`,
      );
    },
  };
}

/** Strikes one client or all of them. */
async function onSome(scene: Scene, strike: (station: Station, random: SeededRandom) => Promise<void>, detail = ''): Promise<string> {
  const { stations, random } = scene;
  const chosen = random.chance(0.5) ? stations : [random.pick(stations)];
  await Promise.all(chosen.map((station) => strike(station, random)));
  const [first] = chosen;
  const who = chosen.length === 1 && first !== undefined ? `client ${first.client.number}` : `all ${chosen.length} clients`;
  return detail === '' ? who : `${who}, ${detail}`;
}

async function inTraffic(way: FaultProxy, done: Promise<void>): Promise<void> {
  const giveUp = new AbortController();
  const waited = delay(TRAFFIC_MS, 'no traffic' as const, { signal: giveUp.signal }).catch(() => undefined);
  const first = await Promise.race([done, waited]);
  giveUp.abort();
  if (first !== 'no traffic') return;
  way.heal();
  way.reset();
}

function directionOf(random: SeededRandom): Direction {
  return random.pick<Direction>(['up', 'down']);
}

function towards(direction: Direction): string {
  return direction === 'up' ? 'towards the server' : 'towards the client';
}

/** How long a command of the user may take. */
const HOOK_TIMEOUT_MS = 120_000;

/** A fault that a command of the user brings about. Reports are passed on, so that the command, which may hold a password, is not in them. */
export function hookFault(name: string, command: string): Fault {
  return {
    name,
    what: 'a command of yours runs',
    async inflict() {
      const startedMs = performance.now();
      const { failure } = await runHook(command, HOOK_TIMEOUT_MS);
      if (failure !== undefined) throw new HookFailure(failure);
      return `the command took ${Math.round(performance.now() - startedMs)} ms`;
    },
  };
}
