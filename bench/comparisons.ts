/** Everything that `npm run bench` compares, and what is claimed of it. */
import type { Comparison, Side, Verdict } from './comparison.ts';
import { autocommitInserts } from './limits/autocommit-inserts.ts';
import { loadData } from './limits/load-data.ts';
import { mariadbUpserts } from './limits/mariadb-upserts.ts';
import { redisBenchmark } from './limits/redis-benchmark.ts';
import { sqliteLoop } from './limits/sqlite-loop.ts';
import { ingestPeers, peers } from './peers/index.ts';
import { peerSide } from './peer-side.ts';
import { scaledWorkload } from './scaled-workload.ts';
import { backlogDrained } from './syncline/backlog.ts';
import { TCP, WEB_SOCKET } from './syncline/doors.ts';
import { embeddedApplied } from './syncline/embedded.ts';
import { framesStored } from './syncline/frames-stored.ts';
import { idleCpu } from './syncline/idle.ts';
import { sendToApplied } from './syncline/latency.ts';
import { rowsApplied } from './syncline/rows-applied.ts';
import { rowsStored } from './syncline/rows-stored.ts';

const MILLION = 1_000_000;
const PAIRS = { quick: 1, full: 10 } as const;
const INSERTS = scaledWorkload('inserts', MILLION);
const UPDATES = scaledWorkload('updates', MILLION);
const HOT_KEYS = scaledWorkload('hot-keys', MILLION);
const BACKLOG = scaledWorkload('updates', 5 * MILLION);
const EMBEDDED = scaledWorkload('inserts', MILLION);

const largeFrames = (scale: number) => Math.ceil(200_000 * scale);
const smallFrames = (scale: number) => Math.ceil(2 * MILLION * scale);

/** What is claimed against single peers. */
const PEER_REACHES: Readonly<Record<string, Pick<Verdict, 'reach'>>> = {
  'php-loop': { reach: { bound: 'at least', value: 50 } },
  bullmq: { reach: { bound: 'at least', value: 50 } },
};

export const comparisons: readonly Comparison[] = [
  {
    name: 'frames-8k',
    title: 'Frames of 8,000 bytes, stored in Redis while the database is away',
    sides: [
      framesStored({
        what: 'frames of 8,000 bytes',
        // With the header of 24 bytes.
        material: (scale) => ({ kind: 'blobs', frames: largeFrames(scale), payloadBytes: 7_976 }),
      }),
      redisBenchmark({ bytes: 8_000, pipeline: 16, count: largeFrames }),
    ],
    verdicts: [atLeast(0.75, 'MB/s', 'syncline', 'redis-benchmark')],
    pairs: PAIRS,
    quickScale: 0.2,
  },
  {
    name: 'doors-8k',
    title: 'Frames of 8,000 bytes, stored in Redis while the database is away, over WebSocket and over TCP',
    sides: [WEB_SOCKET, TCP].map((door) =>
      framesStored({
        name: door.carrier,
        door,
        what: 'frames of 8,000 bytes',
        material: (scale) => ({ kind: 'blobs', frames: largeFrames(scale), payloadBytes: 7_976 }),
      }),
    ),
    verdicts: [atLeast(0.8, 'MB/s', 'websocket', 'tcp')],
    pairs: PAIRS,
    quickScale: 0.2,
  },
  {
    name: 'frames-100',
    title: 'Frames of one change of 100 bytes, stored in Redis while the database is away',
    sides: [
      framesStored({
        what: 'frames of one change of 100 bytes',
        material: (scale) => ({ kind: 'blobs', frames: smallFrames(scale), payloadBytes: 100 }),
      }),
      redisBenchmark({ bytes: 100, pipeline: 64, count: smallFrames }),
    ],
    verdicts: [atLeast(0.45, 'frames/s', 'syncline', 'redis-benchmark')],
    pairs: PAIRS,
    quickScale: 0.1,
  },
  {
    name: 'http',
    title: 'Rows from a program, stored in Redis while the database is away, over HTTP and by the SDK',
    sides: [rowsStored('http', INSERTS), rowsStored('sdk', INSERTS)],
    verdicts: [atLeast(0.3, 'rows/s', 'http', 'sdk')],
    pairs: PAIRS,
    quickScale: 0.15,
  },
  {
    name: 'inserts',
    title: 'New rows, from the sender’s socket to committed in MariaDB',
    sides: [rowsApplied(INSERTS), mariadbUpserts(INSERTS, 1), mariadbUpserts(INSERTS, 2)],
    verdicts: againstMariadb(),
    pairs: PAIRS,
    quickScale: 0.15,
  },
  {
    name: 'updates',
    title: 'Rows that are there already, each written several times, from the sender’s socket to committed in MariaDB',
    sides: [rowsApplied(UPDATES), mariadbUpserts(UPDATES, 1), mariadbUpserts(UPDATES, 2)],
    verdicts: againstMariadb(),
    pairs: PAIRS,
    quickScale: 0.15,
  },
  {
    name: 'load-data',
    title: 'New rows, against the bulk load of MariaDB',
    sides: [rowsApplied(INSERTS), loadData(INSERTS)],
    verdicts: [atLeast(0.5, 'rows/s', 'syncline', 'load-data')],
    pairs: PAIRS,
    quickScale: 0.15,
  },
  {
    name: 'hot-keys',
    title: 'Updates of which 80 % go to 20 % of the rows, against updates that go to all rows alike',
    sides: [rowsApplied(HOT_KEYS, 'syncline-hot-keys'), rowsApplied(UPDATES, 'syncline-updates')],
    verdicts: [atLeast(1.5, 'rows/s', 'syncline-hot-keys', 'syncline-updates')],
    pairs: PAIRS,
    quickScale: 0.15,
  },
  {
    name: 'backlog',
    title: 'Five million updates that wait in Redis while the database is down, then applied',
    sides: [backlogDrained(BACKLOG), rowsApplied(UPDATES, 'syncline-updates')],
    verdicts: [
      atLeast(1, 'rows/s', 'syncline', 'syncline-updates'),
      { figure: 'MB while waiting', of: 'syncline', reach: { bound: 'at most', value: 150 } },
    ],
    pairs: { quick: 1, full: 5 },
    quickScale: 0.05,
  },
  {
    name: 'latency',
    title: 'From sent to APPLIED at 2,000 changes per second, against a single INSERT on an idle database',
    sides: [sendToApplied(2_000), autocommitInserts()],
    verdicts: [
      { figure: 'p50 ms', of: 'syncline', over: 'single-inserts', reach: { bound: 'at most', value: 3 } },
      { figure: 'p99 ms', of: 'syncline', over: 'single-inserts', reach: { bound: 'at most', value: 4 } },
    ],
    pairs: PAIRS,
    quickScale: 0.2,
  },
  {
    name: 'crowd',
    title: 'From sent to APPLIED at 2,000 changes per second, from 2,000 connections and from 20',
    sides: [
      sendToApplied(2_000, { name: 'connections-2000', connections: 2_000 }),
      sendToApplied(2_000, { name: 'connections-20', connections: 20 }),
    ],
    verdicts: [{ figure: 'p99 ms', of: 'connections-2000', over: 'connections-20', reach: { bound: 'at most', value: 2 } }],
    pairs: PAIRS,
    quickScale: 0.2,
  },
  {
    name: 'idle',
    title: 'Processor time of a server with nothing to do',
    sides: [idleCpu()],
    verdicts: [{ figure: '% of a core', of: 'syncline', reach: { bound: 'at most', value: 0.5 } }],
    pairs: { quick: 1, full: 3 },
    quickScale: 0.15,
  },
  {
    name: 'embedded',
    title: 'New rows, from the sender’s socket to committed in SQLite, with the queue in SQLite too',
    sides: [embeddedApplied(EMBEDDED), sqliteLoop(EMBEDDED)],
    verdicts: [atLeast(0.3, 'rows/s', 'syncline', 'sqlite-loop')],
    pairs: PAIRS,
    quickScale: 0.2,
  },
  {
    name: 'peers',
    title: 'New rows into MariaDB, against what people use for it',
    sides: [rowsApplied(INSERTS), ...peers.map((peer) => peerSide(peer, INSERTS))],
    verdicts: peers.map(({ name }) => ({ ...compared('syncline', name), ...PEER_REACHES[name] })),
    pairs: { quick: 1, full: 5 },
    quickScale: 0.15,
  },
  {
    name: 'ingest-peers',
    title: 'New rows into Redis, against what people use to take data from the network',
    sides: [
      tapeStored('syncline', 'as the client', 'batches as the SDK makes them'),
      tapeStored('syncline-single', 'none', 'a frame for each row'),
      ...ingestPeers.map((peer) => peerSide(peer, INSERTS)),
    ],
    verdicts: ingestPeers.flatMap(({ name }) => [compared('syncline', name), compared('syncline-single', name)]),
    pairs: { quick: 1, full: 5 },
    quickScale: 0.15,
  },
];

function tapeStored(name: string, batching: 'as the client' | 'none', what: string): Side {
  return framesStored({ name, what, material: (scale) => ({ kind: 'items', table: 'item', workload: INSERTS(scale), batching }) });
}

function againstMariadb(): Verdict[] {
  return [atLeast(0.95, 'rows/s', 'syncline', 'mariadb-client'), compared('syncline', 'mariadb-client-2')];
}

function atLeast(value: number, figure: string, of: string, over: string): Verdict {
  return { figure, of, over, reach: { bound: 'at least', value } };
}

function compared(of: string, over: string): Verdict {
  return { figure: 'rows/s', of, over };
}
