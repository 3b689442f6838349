import type { PlantedBug } from './planted-bugs.ts';

const REPLICATED = 'src/queue/redis/replicated.ts';
const CLUSTER = 'src/cluster/cluster.ts';
const REDIS_QUEUE = 'src/queue/redis/redis-queue.ts';
const LEASE_KEEPER = 'src/cluster/lease-keeper.ts';

const WAITED_FOR = 'await this.#replicated(connection, hasWritten(reply) ? undefined : { key: mark, passage });';

/** Mistakes that one node on one Redis cannot show. */
export const BUGS_OF_SEVERAL: readonly PlantedBug[] = [
  {
    name: 'stored is acknowledged before the replicas have it',
    patches: [
      {
        file: REPLICATED,
        find: WAITED_FOR,
        replace: 'void this.#replicated(connection, hasWritten(reply) ? undefined : { key: mark, passage }).catch(() => {});',
      },
    ],
  },
  {
    name: 'a frame that was there already is acknowledged without a look at the replicas',
    patches: [
      {
        file: REPLICATED,
        find: WAITED_FOR,
        replace: 'if (hasWritten(reply)) await this.#replicated(connection, undefined); else void mark;',
      },
    ],
  },
  {
    name: 'WAIT goes over another connection than the push',
    patches: [
      {
        file: 'src/queue/redis/node.ts',
        find: 'this.#writes = new ReplicatedWrites(this.#writesLink, replicas, replicaTimeoutMs, clock);',
        replace:
          'this.#writes = Object.assign(new ReplicatedWrites(this.#writesLink, replicas, replicaTimeoutMs, clock), { pushes: this.#link });',
      },
      {
        file: REPLICATED,
        find: 'const reply = await this.#link.run(script, keys, args, passage, ahead);',
        replace: 'const reply = await (this as unknown as { pushes: RedisLink }).pushes.run(script, keys, args, passage, ahead);',
      },
    ],
  },
  {
    name: 'too few replicas are enough when the time is over',
    patches: [{ file: REPLICATED, find: 'if (Number(count) < this.#replicas)', replace: 'if (Number(count) < 0)' }],
  },
  {
    name: 'APPLIED from a hint, without a look at the database',
    patches: [
      {
        file: 'src/ingest/confirmation.ts',
        find: 'const found = await this.#context.progress.read(this.#stream, above, told);',
        replace:
          'const { rejections, cut } = await this.#context.progress.read(this.#stream, above, told);\n    const watermarks = new Map(this.#acknowledgements.lanes().map((lane) => [lane.partition, lane.stored]));\n    const found = { watermarks, rejections, cut };',
      },
    ],
  },
  {
    name: 'nobody makes up for a hint that something was applied, when it is lost',
    patches: [
      { file: 'src/ingest/recheck.ts', find: 'if (nowMs - this.#lookedAtMs >= LOOK_MS) {', replace: 'if (nowMs - this.#lookedAtMs < 0) {' },
    ],
  },
  {
    name: 'nobody makes up for a hint that something was appended, when it is lost',
    patches: [
      {
        file: 'src/apply/scheduler.ts',
        find: 'for (const [partition, { count }] of backlog.entries()) if (count > 0) this.wake(partition);',
        replace: 'void backlog.entries();',
      },
      // Else sessions that wait long would make up for it.
      {
        file: 'src/node/node.ts',
        find: 'if (cluster?.leases.holds(partition) === false) cluster.healElsewhere(partition);',
        replace: '',
      },
    ],
  },
  {
    name: 'a node believes in its leases until it is told otherwise',
    patches: [
      {
        file: LEASE_KEEPER,
        find: 'return slot?.lease !== undefined && this.#options.clock.monotonicMs() < slot.validUntilMs;',
        replace: 'return slot?.lease !== undefined;',
      },
    ],
  },
  {
    name: 'whether a node is alive is judged by the clock of whoever asks',
    patches: [
      { file: REDIS_QUEUE, find: 'this.#random = random;', replace: 'this.#random = Object.assign(random, { wallMs: clock.wallMs });' },
      {
        file: REDIS_QUEUE,
        find: '[name, incarnation, ttlMs, about]);',
        replace: '[name, incarnation, ttlMs, about, (this.#random as unknown as Clock).wallMs()]);',
      },
      {
        file: 'src/queue/redis/scripts/member.lua',
        find: 'local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)',
        replace: 'local now = tonumber(ARGV[5])',
      },
    ],
  },
  {
    name: 'the lease of whoever leads is taken as those behind it are',
    patches: [
      { file: 'src/cluster/claims.ts', find: "if (partition === 0) return 'wait';", replace: "if (partition === 0) return 'take';" },
    ],
  },
  {
    name: 'who takes over leaves the connections of the node before as they are',
    patches: [
      {
        file: CLUSTER,
        find: 'if (incarnation === undefined || this.#fencing.has(incarnation)) return;',
        replace: 'return void incarnation;',
      },
    ],
  },
  {
    name: 'one connection of a node is marked, and not the others',
    patches: [{ file: 'src/sinks/mysql/fence.ts', find: 'const MAX_MARKS = 256;', replace: 'const MAX_MARKS = 1;' }],
  },
  {
    name: 'a node that comes back is handed nothing over',
    patches: [
      { file: LEASE_KEEPER, find: 'this.#handingOver ??= this.#handOver().finally(() => (this.#handingOver = undefined));', replace: '' },
    ],
  },
  {
    name: 'a node that is put back into service goes on being about to leave',
    patches: [{ file: CLUSTER, find: "this.#state = this.#canApply ? 'ready' : 'starting';", replace: '' }],
  },
];
