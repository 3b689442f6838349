/**
 * Every error code of Syncline, with what is done about it and what it means to whoever reads it.
 * `docs/errors.md` is generated from this table; codes are stable strings.
 *
 * Kinds:
 * - `transient`: the world is in the way (a lost connection, a deadlock, a full disk). Rolled back and tried again for
 *   ever, never a dead letter.
 * - `blocked`: a change that another partition may still make possible (a foreign key, a second unique index). Tried
 *   again until every other partition has passed it, then permanent.
 * - `permanent`: this change cannot be applied as it is. It becomes a dead letter.
 * - `connection`: the peer broke the protocol or may not go on. Sent as ERROR, then the connection closes.
 * - `request`: an HTTP request that cannot be taken as it is. Answered with a problem (RFC 9457) that says why.
 * - `startup`: the configuration and the world disagree. The process refuses to start.
 */
export type ErrorKind = 'transient' | 'blocked' | 'permanent' | 'connection' | 'request' | 'startup';

interface Entry {
  readonly kind: ErrorKind;
  readonly meaning: string;
  readonly remedy: string;
}

const entry = (kind: ErrorKind, meaning: string, remedy: string): Entry => ({ kind, meaning, remedy });

export const ERRORS = {
  // The start.
  bad_config: entry('startup', 'the configuration is wrong', 'see the message; docs/configuration.md lists every option'),

  // Several nodes.
  node_conflict: entry(
    'startup',
    'another node of the installation has this name, or another mode or major version',
    'give each node a name of its own, and all of them one cluster.mode; stop nodes of another major version first',
  ),

  // Connections.
  auth_failed: entry(
    'connection',
    'the token is missing, unknown, expired or revoked, or may not be used from this address or with this certificate',
    'the log of the server says which; docs/access.md says who is let in',
  ),
  auth_timeout: entry('connection', 'no complete HELLO arrived in time', 'send HELLO as the first frame as soon as the connection is open'),
  hello_expected: entry('connection', 'the first frame was not HELLO', 'send HELLO first'),
  hello_repeated: entry('connection', 'a second HELLO arrived on one connection', 'open a new connection for a new HELLO'),
  bad_hello: entry('connection', 'the HELLO payload does not have the required fields', 'see HELLO in docs/protocol.md'),
  unsupported_version: entry(
    'connection',
    'the peer speaks a protocol version that this server does not',
    'use a client for protocol version 1',
  ),
  frame_too_small: entry('connection', 'the announced frame length is below 20', 'the length counts every byte after itself: 20 + payload'),
  frame_too_large: entry(
    'connection',
    'the announced frame length is above the limit',
    'send smaller batches; WELCOME names maxFrameBytes',
  ),
  bad_crc: entry('connection', 'the checksum of a frame is wrong', 'crc32 covers bytes 4 to 19 and the payload as sent'),
  bad_flags: entry('connection', 'a frame sets flags that version 1 does not know', 'only bit 0 (zstd) may be set, on BATCH frames'),
  bad_frame: entry('connection', 'a frame has header fields that its type does not allow', 'see the table of types in docs/protocol.md'),
  unknown_type: entry('connection', 'the frame type is not known', 'see the table of types in docs/protocol.md'),
  unknown_partition: entry('connection', 'the partition does not exist', 'WELCOME names the number of partitions'),
  seq_content_mismatch: entry(
    'connection',
    'another frame was stored under this sequence number',
    'keep what is not applied and start a new stream with it',
  ),
  stream_taken_over: entry('connection', 'a newer connection uses the same stream', 'run one client per stream'),
  stream_owned_by_other: entry('connection', 'the stream belongs to another producer', 'start a new stream for this producer'),
  stream_disputed: entry(
    'connection',
    'the queue names another owner of the stream than when it was opened',
    'connect again: opening the stream tells whose it is',
  ),
  sink_regressed: entry(
    'connection',
    'the sink lacks changes that it had acknowledged as applied, and the client no longer holds them',
    'a backup was restored: compare source and target, then start a new stream',
  ),
  stream_expired: entry(
    'connection',
    'the stream was idle beyond its retention, or was left for another one, and its watermarks are gone',
    'compare source and target, then start a new stream',
  ),
  bad_proxy_header: entry(
    'connection',
    'a connection from an address in listen.tcp.proxyFrom or listen.web.proxyFrom did not begin with a valid PROXY protocol header',
    'let the balancer send it (HAProxy: send-proxy-v2), or take the address out of proxyFrom; docs/balancer.md has both sides',
  ),
  tls_required: entry(
    'connection',
    'the server speaks TLS on this port, and the client does not',
    'give the client a url with tcps://, or connect to a port without TLS',
  ),
  tls_failed: entry(
    'connection',
    'the TLS handshake failed or was not finished in time',
    'see the message; docs/tls.md lists the common ones: a client that does not trust the certificate, no version in common',
  ),
  certificate_refused: entry(
    'connection',
    'the client showed no certificate where one is asked for, or one that is not valid here',
    'give the client a certificate that an authority in listen.tls.clientCa has signed, and its key (tls.cert, tls.key)',
  ),
  too_many_connections: entry(
    'connection',
    'the limit of connections is reached',
    'close idle connections, or raise the limit that the message names',
  ),
  rate_limited: entry(
    'transient',
    'the producer sends more in a second than it may',
    'send slower, or raise bytesPerSecond or changesPerSecond; nothing is lost',
  ),
  slow_reader: entry('connection', 'the peer does not read its acknowledgements', 'read from the socket while sending'),
  frame_unfinished: entry(
    'connection',
    'the rest of a frame came too slowly, or the server held too much of what it could not handle yet',
    'connect again; on a slow line send smaller batches',
  ),
  heartbeat_lost: entry('connection', 'nothing was heard for 2.5 heartbeats', 'answer PING with PONG'),
  shutting_down: entry('connection', 'the server is stopping', 'connect again after the given time'),
  internal: entry('connection', 'the server failed to handle the frame', 'see the server log'),

  // HTTP requests.
  bad_request: entry('request', 'the request is not one that this server knows, or its body cannot be read', 'see docs/http.md'),
  bad_change: entry('request', 'a change of the request cannot be sent to the queue', 'correct the row that the answer names'),
  body_too_large: entry(
    'request',
    'the body is larger than the server takes, or expands far more than such data does',
    'send less at a time, or NDJSON; or raise listen.web.maxBodyBytes',
  ),
  body_too_slow: entry('request', 'the body came too slowly', 'send what there is in a request of its own'),
  origin_refused: entry(
    'request',
    'a web page of this origin may not send',
    'list it in listen.web.origins, or send from a program instead of from a page',
  ),
  too_many_requests: entry(
    'request',
    'the producer has too many requests under way',
    'wait for some of them, or send more changes in each',
  ),

  // Doors.
  listen_failed: entry(
    'startup',
    'the address to listen on cannot be used',
    'see the message: choose another port or host, or stop who uses it',
  ),
  engine_unavailable: entry(
    'startup',
    'listen.web.engine asks for uWebSockets.js, which does not load on this machine',
    'install it as docs/websocket.md says, or set listen.web.engine to ws or auto',
  ),
  listen_unprotected: entry(
    'startup',
    'the server would listen beyond loopback without a token',
    'set SYNCLINE_TOKEN or producers, for admin SYNCLINE_ADMIN_TOKEN, or listen on 127.0.0.1',
  ),

  audit_unavailable: entry('startup', 'the audit log cannot be opened', 'see the message; docs/security.md says what it needs'),

  // The client.
  server_unavailable: entry('transient', 'the server cannot be reached', 'check the url and that the server runs; the client keeps trying'),
  wrong_producer: entry(
    'connection',
    'the token belongs to another producer than the one that was named',
    'use the token of that producer, or name the right one',
  ),
  buffer_full: entry(
    'transient',
    'too much waits for room: writes in the buffer of the client, or HTTP requests in that of the server',
    'await each write before the next; repeat the request later, or raise listen.web.bufferBytes',
  ),
  client_closed: entry('connection', 'the client is closed or has stopped', 'connect a new client'),
  spool_unavailable: entry(
    'transient',
    'the spool cannot be read or written',
    'free disk space; the client tries again and keeps what it has',
  ),
  spool_locked: entry('startup', 'another client uses this spool', 'give each client a spool of its own'),
  spool_corrupt: entry(
    'startup',
    'what the spool holds is damaged where it had been durable',
    'restore it, or move it away; then what it held is not sent',
  ),

  // The queue.
  queue_unavailable: entry(
    'transient',
    'the queue cannot be reached',
    'check that Redis runs and is reachable, or that the data folder can be used',
  ),
  queue_full: entry('transient', 'the queue has no room', 'wait until it drains, or give it more memory or disk'),
  queue_readonly: entry('transient', 'the queue refuses writes now', 'Redis is a replica, loading, or cannot persist: see its log'),
  queue_unreplicated: entry(
    'transient',
    'fewer replicas than queue.replicas have what was stored',
    'check that they run and follow: INFO replication of Redis; or lower queue.replicas',
  ),
  queue_evicting: entry('transient', 'Redis may evict queued changes', 'set maxmemory-policy noeviction'),
  queue_mismatch: entry('startup', 'the queue was created with other settings', 'use the recorded settings, or another prefix or folder'),
  queue_unsuitable: entry('startup', 'the queue cannot keep the promise', 'see the message; docs/queue.md lists the requirements'),
  newer_format: entry(
    'transient',
    'what is stored was written by a newer version in a format that this one does not know; nothing of it is touched',
    'run the version that wrote it, on every node: see docs/upgrading.md',
  ),
  queue_locked: entry('startup', 'another process uses this embedded queue', 'stop the other server or use another data folder'),

  // The sink.
  sink_unavailable: entry('transient', 'the sink cannot be reached', 'check that the database runs and that the credentials are right'),
  sink_busy: entry('transient', 'a deadlock, a lock wait or a busy database', 'nothing to do: the slice is tried again'),
  sink_readonly: entry('transient', 'the database refuses writes', 'make it writable again'),
  sink_full: entry('transient', 'the database has no room', 'free disk space or memory'),
  sink_denied: entry('transient', 'the database user lacks a permission', 'grant it; docs/sinks.md lists the minimal grants'),
  worker_failed: entry(
    'transient',
    'a worker thread ended while it ran a slice',
    'see the log; the slice is tried again, in smaller pieces',
  ),
  roll_failed: entry(
    'transient',
    'the new worker threads that a reload starts cannot reach queue or sink',
    'put right what the message says and reload again; meanwhile the server goes on with what it had',
  ),
  commit_unknown: entry('transient', 'the connection died during COMMIT', 'nothing to do: the watermark tells what happened'),
  sink_mismatch: entry('startup', 'the sink was set up with other settings', 'use the recorded settings or another database'),
  sink_unsuitable: entry('startup', 'the database cannot keep the promise', 'see the message; docs/sinks.md lists the requirements'),

  // Single changes.
  not_allowed: entry(
    'permanent',
    'the rules of the producer do not allow this change',
    'give the producer a rule for table, operation and columns; docs/access.md says how',
  ),
  malformed_payload: entry('permanent', 'the payload is not a valid batch', 'see "A batch" in docs/protocol.md'),
  payload_too_large: entry(
    'permanent',
    'the payload expands beyond the frame limit, or the batch has more changes than its producer may send in one',
    'send smaller batches',
  ),
  corrupt_element: entry('permanent', 'what is stored no longer has its checksum', 'none: the server drops it and asks for it again'),
  wrong_partition: entry(
    'permanent',
    'the row does not belong in this partition',
    'compute the partition as docs/protocol.md says, with partitionBy from WELCOME',
  ),
  unknown_table: entry('permanent', 'the sink has no such table', 'create the table, correct its name, or use schema: evolve'),
  unknown_column: entry('permanent', 'the table has no such column', 'add the column, correct its name, or use schema: evolve'),
  no_primary_key: entry('permanent', 'the table has no primary key', 'give the table a primary key'),
  wrong_key: entry(
    'permanent',
    'the key columns are not the primary key or a unique key of the table',
    'name the key columns of the table, first',
  ),
  key_not_canonical: entry(
    'permanent',
    'a key value has several spellings that the database takes for one',
    'send the canonical form, or give the key column a binary collation',
  ),
  column_generated: entry('permanent', 'the column is computed by the database', 'leave it out'),
  wrong_type: entry('permanent', 'a value has a type that the column cannot hold', 'convert the value before sending'),
  out_of_range: entry('permanent', 'a value is outside the range of its column', 'widen the column or correct the value'),
  too_long: entry('permanent', 'a value is longer than its column', 'widen the column or shorten the value'),
  loses_precision: entry('permanent', 'a value has more digits than its column keeps', 'widen the column or round before sending'),
  null_not_allowed: entry(
    'permanent',
    'null, or nothing, for a column that must have a value',
    'send a value or give the column a default',
  ),
  duplicate_key: entry('permanent', 'insert of a key that exists', 'use upsert, or update'),
  row_missing: entry('permanent', 'update of a row that does not exist', 'use upsert, or insert first'),
  duplicate_unique: entry('blocked', 'another row has the same value in a unique index', 'correct the value'),
  foreign_key: entry('blocked', 'a foreign key does not hold', 'send the referenced row, in an earlier change'),
  check_failed: entry('permanent', 'a CHECK constraint or a trigger refused the row', 'correct the value'),
  value_refused: entry('permanent', 'the database refused the change', 'see the message'),
  row_too_large: entry('permanent', 'the row is larger than the database takes in one packet', 'raise max_allowed_packet or send less'),
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * What the world did. Its code says what to do about it; a bug is an assertion, not a `SyncError`.
 * Messages are lower case, subject first, with values and a hint, without secrets or row contents.
 */
export class SyncError extends Error {
  override readonly name = 'SyncError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  get kind(): ErrorKind {
    return ERRORS[this.code].kind;
  }
}

/** Why one change cannot be applied: a value, not an exception, because it is part of the normal work. */
export interface ChangeFault {
  readonly code: ErrorCode;
  /** Names table, column and limits, never row contents. */
  readonly message: string;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
