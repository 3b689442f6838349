import type { PlantedBug } from './planted-bugs.ts';

const ROUTER = 'src/queue/redis/cluster-router.ts';
const LINK = 'src/queue/redis/link.ts';
const NODE = 'src/queue/redis/node.ts';
const REPLICATED = 'src/queue/redis/replicated.ts';
const SLOTS = 'src/queue/redis/slots.ts';

/** Mistakes that only a Redis Cluster can show. */
export const BUGS_OF_CLUSTERS: readonly PlantedBug[] = [
  {
    name: 'of two that claim a slot, the one of the older epoch is believed',
    on: 'cluster',
    patches: [{ file: SLOTS, find: '(best?.epoch ?? -1) < owner.epoch', replace: '(best?.epoch ?? Infinity) > owner.epoch' }],
  },
  {
    name: 'ASKING goes before EVALSHA, and not before the EVAL that follows when the script is unknown',
    on: 'cluster',
    patches: [
      {
        file: LINK,
        find: "return this.command('EVAL', [script.source, ...rest], passage);",
        replace: "return this.command('EVAL', [script.source, ...rest]);",
      },
    ],
  },
  {
    name: 'ASKING goes over the one connection, and what it is for over the one that replicas are waited for on',
    on: 'cluster',
    patches: [
      {
        file: NODE,
        find: 'return this.#writes?.run(call, passage) ??',
        replace:
          "if (passage === 'asking' && this.#writes !== undefined) this.#link.command('ASKING', []).catch(() => {});\n    return this.#writes?.run(call) ??",
      },
    ],
  },
  {
    name: 'WAIT goes to the master that was connected to first, whichever took the push',
    on: 'cluster',
    patches: [
      {
        file: NODE,
        find: 'this.#writes = new ReplicatedWrites(this.#writesLink, replicas, replicaTimeoutMs, clock);',
        replace:
          'const waits = ((options as { waits?: RedisLink }).waits ??= this.#writesLink);\n      this.#writes = Object.assign(new ReplicatedWrites(this.#writesLink, replicas, replicaTimeoutMs, clock), { waits });',
      },
      {
        file: REPLICATED,
        find: "this.#link.command('WAIT', [this.#replicas, this.#timeoutMs]),",
        replace: "(this as unknown as { waits: RedisLink }).waits.command('WAIT', [this.#replicas, this.#timeoutMs]),",
      },
    ],
  },
  {
    name: 'who serves what is asked once, when the process starts',
    on: 'cluster',
    patches: [
      {
        file: ROUTER,
        find: 'if (answers.length > 0) this.#believe(readClusterNodes(answers));',
        replace: 'if (answers.length > 0 && this.#view === undefined) this.#believe(readClusterNodes(answers));',
      },
    ],
  },
];
