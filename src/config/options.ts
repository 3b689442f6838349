import { z } from 'zod';
import { OPS } from '../core/change.ts';
import { LARGEST_FRAME_BYTES, MAX_BATCH_CHANGES, MAX_PARTITIONS } from '../core/stream.ts';
import { listenOptions } from './listen-options.ts';
import {
  bytes,
  flag,
  GIB,
  integer,
  KIB,
  MIB,
  optionalBytes,
  optionalInteger,
  optionalText,
  requiredText,
  section,
  text,
  textList,
  TIB,
} from './option.ts';
import { producerLimits } from './producer-limits.ts';

/** Every option as it is written down, with defaults filled in; `resolve.ts` makes the {@link Config} of it. */
export type Options = z.output<typeof optionsSchema>;

/** Names of producers, sinks and nodes: they appear in logs, metrics and in the databases. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const NAME_FORM = 'letters, digits, dots, dashes and underscores, 64 at most, a letter or digit first';

function tls(of: string, env: string) {
  return z
    .strictObject({
      ca: optionalText({
        description: `PEM file with the certificates that sign the certificate of the ${of}; without it the system's are used.`,
        env: `${env}_CA`,
        takesEffect: 'reload',
      }),
      cert: optionalText({
        description: 'PEM file with the certificate that this server shows.',
        env: `${env}_CERT`,
        takesEffect: 'reload',
      }),
      key: optionalText({ description: 'PEM file with the private key of `cert`.', env: `${env}_KEY`, takesEffect: 'reload' }),
      rejectUnauthorized: flag(true, {
        description: `Whether the certificate of the ${of} must be valid for its name. Turn off only to find a fault.`,
        env: `${env}_REJECT_UNAUTHORIZED`,
        takesEffect: 'reload',
      }),
    })
    .optional()
    .meta({ description: `TLS for the connection to the ${of}. Paths are relative to the configuration file.` });
}

const rule = z.strictObject({
  tables: z
    .array(z.string().regex(/^[^*]{1,255}\*?$|^\*$/))
    .min(1)
    .max(256)
    .meta({
      description: 'Names of tables; `stock_*` stands for all that begin so, `*` for all.',
      takesEffect: 'reload',
      form: 'the name of a table, with a star at its end for all that begin so',
    }),
  operations: z
    .array(z.enum(OPS))
    .min(1)
    .max(OPS.length)
    .default([...OPS])
    .meta({ description: 'Operations on their rows.', takesEffect: 'reload', fallback: 'all' }),
  columns: z.array(z.string().min(1)).max(1024).optional().meta({
    description: 'Columns that may be written beside the key.',
    takesEffect: 'reload',
    fallback: 'all',
  }),
});

const producer = z.strictObject({
  name: requiredText(
    { description: 'Name of the producer, in logs, metrics and dead letters.', form: NAME_FORM, takesEffect: 'reload' },
    NAME,
  ),
  tokens: z
    .array(z.string().regex(/^sha256:[0-9a-f]{64}$/))
    .max(16)
    .default([])
    .meta({
      description:
        'Digests of its tokens, `sha256:` and 64 hex digits. `syncline token create NAME` makes a token and its digest; two at a time let a token be replaced without a gap. Those in `tokensFile` count too.',
      secret: true,
      takesEffect: 'reload',
      form: '`sha256:` and 64 lower-case hex digits; `syncline token create NAME` makes one',
    }),
  certificates: z
    .array(z.string().regex(/^(DNS|URI|email|IP Address):\S+$/))
    .max(16)
    .default([])
    .meta({
      description:
        'Names in client certificates, such as `DNS:shop.example` or `URI:spiffe://example/shop`: whoever proves to own one of them is this producer, and needs no token.',
      takesEffect: 'reload',
      form: 'a subject alternative name such as DNS:shop.example, URI:spiffe://example/shop, email:shop@example.org or IP Address:10.0.0.7',
    }),
  addresses: textList(64, {
    description: 'Addresses and ranges that it may come from, such as `10.0.0.5` or `2001:db8::/32`.',
    takesEffect: 'reload',
    fallback: 'any',
  }),
  rules: z.array(rule).max(256).optional().meta({
    description:
      'What it may write: everything that one of these rules allows, and nothing else. Other changes become dead letters. See docs/access.md.',
    takesEffect: 'reload',
    fallback: 'everything',
  }),
  limits: producerLimits,
});

const sink = z.strictObject({
  name: text(
    'main',
    { description: 'Name of the sink; recorded in the queue, so it stays as it is.', form: NAME_FORM, takesEffect: 'restart' },
    NAME,
  ),
  url: optionalText({
    description:
      'Where changes are applied: `sqlite:` (a file in `data`), `sqlite:PATH`, or `mysql://user:password@host:3306/database` for MySQL and MariaDB.',
    env: 'SYNCLINE_SINK',
    takesEffect: 'credentials at a reload',
    secret: true,
    fallback: '`sqlite:`',
  }),
  urlFile: optionalText({
    description: 'File that holds the URL, instead of `url`.',
    env: 'SYNCLINE_SINK_FILE',
    takesEffect: 'credentials at a reload',
  }),
  schema: z.enum(['strict', 'evolve']).optional().meta({
    description:
      '`strict`: changes of unknown tables and columns become dead letters. `evolve`: tables are created and columns added as changes need them.',
    env: 'SYNCLINE_SINK_SCHEMA',
    takesEffect: 'restart',
    fallback: '`evolve` with `sqlite:`, else `strict`',
  }),
  tls: tls('sink', 'SYNCLINE_SINK_TLS'),
});

const table = z.strictObject({
  partitionBy: z
    .strictObject({
      group: requiredText({ description: 'Tables with the same group and equal values share a partition.', takesEffect: 'restart' }),
      columns: z.array(z.string().min(1)).max(16).meta({
        description: 'Columns whose values are hashed, in order; `[]` puts the whole group in one partition.',
        takesEffect: 'restart',
      }),
    })
    .optional()
    .meta({
      description:
        'How rows find their partition; without it by their key. Rows that share one are applied in one order, and a batch of them is atomic. Recorded in queue and sink: changing it needs a drained queue.',
    }),
});

/**
 * The one place where options are defined. Types, defaults, environment names, the help of `start`, the JSON Schema,
 * `docs/configuration.md` and the file that `syncline init` writes all come from here.
 */
export const optionsSchema = z.strictObject({
  node: optionalText({
    description: 'Name of this node, in logs and in leases.',
    env: 'SYNCLINE_NODE',
    takesEffect: 'restart',
    fallback: "the machine's host name",
  }),
  data: text('./syncline-data', {
    description:
      'Folder of the embedded queue and the embedded sink. Relative to the configuration file when it is set there, else to the current folder.',
    env: 'SYNCLINE_DATA',
    takesEffect: 'restart',
  }),
  token: optionalText({
    description:
      'One token for a single producer named `default`. Without a token and without `producers` nobody is asked for one, and the server listens on loopback only.',
    env: 'SYNCLINE_TOKEN',
    takesEffect: 'reload',
    secret: true,
    fallback: 'none',
  }),
  tokenFile: optionalText({
    description: 'File that holds the token, instead of `token`.',
    env: 'SYNCLINE_TOKEN_FILE',
    takesEffect: 'reload',
  }),
  tokensFile: optionalText({
    description:
      'File with the digests of tokens that `syncline token create`, `list` and `revoke` keep; a change counts within two seconds, without a reload. Where `producers` are listed, only their tokens count.',
    env: 'SYNCLINE_TOKENS_FILE',
    takesEffect: 'restart',
    fallback: 'none',
  }),
  producers: z
    .array(producer)
    .default([])
    .meta({ description: 'Who may send, each with tokens, addresses and rules of its own.', takesEffect: 'reload' }),

  queue: section('Where changes wait until they are applied.', {
    url: optionalText({
      description:
        '`sqlite:` (embedded, a file in `data`), `sqlite:PATH`, `redis://user:password@host:6379/0`, `redis+sentinel://user:password@host:26379,host:26379/mymaster?db=0` (the addresses are those of Sentinels), `redis+cluster://user:password@host:6379,host:6379`; over TLS `rediss://…`, `rediss+sentinel://…`, `rediss+cluster://…`.',
      env: 'SYNCLINE_QUEUE',
      takesEffect: 'credentials at a reload',
      secret: true,
      fallback: '`sqlite:`',
    }),
    urlFile: optionalText({
      description: 'File that holds the URL, instead of `url`.',
      env: 'SYNCLINE_QUEUE_FILE',
      takesEffect: 'credentials at a reload',
    }),
    partitions: integer([1, MAX_PARTITIONS], 16, {
      description: 'Number of ordered sub-queues. Fixed when the queue is created; recorded in queue and sink.',
      env: 'SYNCLINE_QUEUE_PARTITIONS',
      takesEffect: 'restart',
    }),
    prefix: text(
      'syncline:',
      {
        description: 'Begin of every Redis key, so that several installations can share one server.',
        env: 'SYNCLINE_QUEUE_PREFIX',
        takesEffect: 'restart',
        form: 'up to 64 characters without blanks and braces',
      },
      /^[^\s{}]{1,64}$/,
    ),
    tls: tls('queue', 'SYNCLINE_QUEUE_TLS'),
    sentinel: z
      .strictObject({
        username: optionalText({
          description: 'User at the Sentinels; without it the default one.',
          env: 'SYNCLINE_QUEUE_SENTINEL_USERNAME',
          takesEffect: 'reload',
        }),
        password: optionalText({
          description: 'Password at the Sentinels. What the URL holds is for the servers that they watch.',
          env: 'SYNCLINE_QUEUE_SENTINEL_PASSWORD',
          takesEffect: 'reload',
          secret: true,
        }),
        passwordFile: optionalText({
          description: 'File that holds the password, instead of `password`.',
          env: 'SYNCLINE_QUEUE_SENTINEL_PASSWORD_FILE',
          takesEffect: 'reload',
        }),
      })
      .optional()
      .meta({ description: 'Who this server is to the Sentinels, where they ask for a password.' }),
    replicas: integer([0, 16], 0, {
      description:
        'How many replicas of Redis must have a change before it is acknowledged as stored. When fewer answer in time, producers are held back.',
      env: 'SYNCLINE_QUEUE_REPLICAS',
      takesEffect: 'restart',
    }),
    maxBytes: bytes([16 * MIB, 16 * TIB], 8 * GIB, {
      description: 'How large the embedded queue may grow before producers are held back.',
      env: 'SYNCLINE_QUEUE_MAX_BYTES',
      takesEffect: 'restart',
    }),
    pressurePercent: integer([10, 95], 70, {
      description: "Share of Redis' maxmemory, or of `maxBytes`, from which producers are held back.",
      env: 'SYNCLINE_QUEUE_PRESSURE_PERCENT',
      takesEffect: 'restart',
      unit: 'percent',
    }),
  }),

  sinks: z
    .array(sink)
    .min(1)
    .default([{ name: 'main' }])
    .meta({ description: 'Where changes are applied: exactly one for now.' }),

  tables: z
    .record(z.string().min(1), table)
    .default({})
    .meta({ description: 'What is special about single tables, by name.', takesEffect: 'restart' }),

  listen: listenOptions,

  ingest: section('Limits of the doors.', {
    addresses: textList(256, {
      description: 'Addresses and ranges that clients may come from, whoever they are.',
      env: 'SYNCLINE_INGEST_ADDRESSES',
      takesEffect: 'reload',
      fallback: 'any',
    }),
    maxConnections: integer([1, 100_000], 1000, {
      description: 'Connections at a time.',
      env: 'SYNCLINE_INGEST_MAX_CONNECTIONS',
      takesEffect: 'reload',
    }),
    maxConnectionsPerAddress: integer([1, 100_000], 200, {
      description: 'Connections at a time from one address.',
      env: 'SYNCLINE_INGEST_MAX_CONNECTIONS_PER_ADDRESS',
      takesEffect: 'reload',
    }),
    maxConnectionsPerProducer: integer([1, 100_000], 1000, {
      description: 'Connections at a time of one producer.',
      env: 'SYNCLINE_INGEST_MAX_CONNECTIONS_PER_PRODUCER',
      takesEffect: 'reload',
    }),
    maxBatchChanges: integer([1, MAX_BATCH_CHANGES], MAX_BATCH_CHANGES, {
      description:
        'Changes in one batch. A batch with more becomes dead letters as a whole, so keep it above what your clients send: `syncline/client` puts up to `batchBytes` of rows in one.',
      env: 'SYNCLINE_INGEST_MAX_BATCH_CHANGES',
      takesEffect: 'reload',
    }),
    bytesPerSecond: optionalBytes([KIB, TIB], {
      description:
        'What one producer may send in a second, over all of its connections, in frames as they travel. Above it, it is held back, and nothing is lost.',
      env: 'SYNCLINE_INGEST_BYTES_PER_SECOND',
      takesEffect: 'reload',
      fallback: 'no limit',
    }),
    changesPerSecond: optionalInteger([1, 1_000_000_000], {
      description: 'The same in changes.',
      env: 'SYNCLINE_INGEST_CHANGES_PER_SECOND',
      takesEffect: 'reload',
      fallback: 'no limit',
    }),
    maxFrameBytes: bytes([64 * KIB, LARGEST_FRAME_BYTES], 4 * MIB, {
      description: 'Largest frame, also after expansion.',
      env: 'SYNCLINE_INGEST_MAX_FRAME_BYTES',
      takesEffect: 'reload',
    }),
    creditBytes: bytes([64 * KIB, GIB], 8 * MIB, {
      description: 'How much one connection may have sent and not yet stored. At least `maxFrameBytes`.',
      env: 'SYNCLINE_INGEST_CREDIT_BYTES',
      takesEffect: 'reload',
    }),
    maxInFlightBytes: bytes([64 * KIB, 16 * GIB], 64 * MIB, {
      description:
        'How much all connections together may have sent and not yet stored, with 512 bytes more for each frame. At least `creditBytes`.',
      env: 'SYNCLINE_INGEST_MAX_IN_FLIGHT_BYTES',
      takesEffect: 'reload',
    }),
    authTimeoutMs: integer([100, 60_000], 5000, {
      description: 'Time for a new connection to say who it is.',
      env: 'SYNCLINE_INGEST_AUTH_TIMEOUT_MS',
      takesEffect: 'reload',
      unit: 'ms',
    }),
    heartbeatMs: integer([100, 600_000], 10_000, {
      description: 'Silence after which a peer is asked whether it is there; after 2.5 times that the connection closes.',
      env: 'SYNCLINE_INGEST_HEARTBEAT_MS',
      takesEffect: 'reload',
      unit: 'ms',
    }),
  }),

  apply: section('How changes are applied.', {
    threads: integer([1, 64], 1, {
      description: 'Worker threads. One keeps a database busy on most machines.',
      env: 'SYNCLINE_APPLY_THREADS',
      takesEffect: 'reload',
    }),
    slicesPerThread: integer([1, 64], 3, {
      description:
        'Transactions that one thread works on at a time, each of one partition or of several, on a database connection of its own.',
      env: 'SYNCLINE_APPLY_SLICES_PER_THREAD',
      takesEffect: 'reload',
    }),
    sliceElements: integer([1, 10_000], 256, {
      description: 'Most batches in one transaction.',
      env: 'SYNCLINE_APPLY_SLICE_ELEMENTS',
      takesEffect: 'reload',
    }),
    sliceBytes: bytes([64 * KIB, GIB], MIB, {
      description: 'Bytes after which a transaction takes no more batches.',
      env: 'SYNCLINE_APPLY_SLICE_BYTES',
      takesEffect: 'reload',
    }),
    leaseMs: integer([500, 60_000], 3000, {
      description: 'How long a node that went silent keeps the right to apply.',
      env: 'SYNCLINE_APPLY_LEASE_MS',
      takesEffect: 'restart',
      unit: 'ms',
    }),
  }),

  cluster: section('How several nodes share the work.', {
    mode: z.enum(['standalone', 'standby', 'active']).default('standalone').meta({
      description:
        '`standalone`: this node is the only one. `standby`: one node applies everything, the others watch and take over. `active`: the partitions are spread over all nodes. The same on every node; all but `standalone` need a queue in Redis and a sink that is no file.',
      env: 'SYNCLINE_CLUSTER_MODE',
      takesEffect: 'restart',
    }),
  }),

  retention: section('How long things are kept.', {
    streamDays: integer([1, 3650], 30, {
      description: 'Idle time after which a stream is forgotten. A client that comes back later must start a new one.',
      env: 'SYNCLINE_RETENTION_STREAM_DAYS',
      takesEffect: 'reload',
      unit: 'days',
    }),
    requestHours: integer([1, 8760], 24, {
      description: 'How long an HTTP request with an `Idempotency-Key` is remembered: a repetition within that time is not applied again.',
      env: 'SYNCLINE_RETENTION_REQUEST_HOURS',
      takesEffect: 'reload',
      unit: 'hours',
    }),
  }),

  audit: section('A record of who came in, what was refused and what operators did: docs/security.md describes it.', {
    file: optionalText({
      description:
        'File of the audit log. Each line is chained to the one before it, so that a change shows: `syncline audit verify`. Every node and every server needs one of its own.',
      env: 'SYNCLINE_AUDIT_FILE',
      takesEffect: 'restart',
      fallback: 'no audit log',
    }),
    maxBytes: bytes([64 * KIB, TIB], 64 * MIB, {
      description: 'Size at which the file is full: it gets the number of its last line to its name, and another is begun.',
      env: 'SYNCLINE_AUDIT_MAX_BYTES',
      takesEffect: 'restart',
    }),
    maxFiles: integer([1, 10_000], 16, {
      description: 'Full files that are kept beside it; older ones are removed.',
      env: 'SYNCLINE_AUDIT_MAX_FILES',
      takesEffect: 'restart',
    }),
  }),

  log: section('What is logged, on standard output.', {
    level: z
      .enum(['debug', 'info', 'warn', 'error', 'silent'])
      .default('info')
      .meta({ description: 'Least important level that is logged.', env: 'SYNCLINE_LOG_LEVEL', takesEffect: 'reload' }),
    format: z.enum(['auto', 'pretty', 'json']).default('auto').meta({
      description: '`pretty` for people, `json` for machines, `auto`: pretty on a terminal.',
      env: 'SYNCLINE_LOG_FORMAT',
      takesEffect: 'restart',
    }),
  }),
});
