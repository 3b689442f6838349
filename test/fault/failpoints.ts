import type { ErrorCode } from '../../src/core/errors.ts';

/** A named place in our own source at which a fault test can end, stop or disturb the process. */
export interface Failpoint {
  readonly name: string;
  /** From the root of the repository. */
  readonly file: string;
  /** Text that occurs once in the file, with `‸` where the process can be caught. */
  readonly place: string;
  readonly of: 'server' | 'client';
  readonly reached: Occasion;
  /** The error that a lost connection would be there; undefined where nothing is awaited that could be lost. */
  readonly loss?: ErrorCode;
}

/**
 * When a place is reached: all the time under load, a few times in a second, when the process starts, when a client connects, when the process
 * is asked to stop, when the queue was wiped, when a spool begins a stream.
 */
export type Occasion = 'load' | 'interval' | 'start' | 'connect' | 'stop' | 'wipe' | 'new spool';

/** Which installation reaches a place: Redis and MariaDB, queue and sink in SQLite, or each of them. */
export type Installation = 'services' | 'embedded';

export function installationsOf({ file, reached }: Failpoint): readonly Installation[] {
  if (/redis|mysql/.test(file) || reached === 'wipe') return ['services'];
  return /embedded|sqlite/.test(file) ? ['embedded'] : ['services', 'embedded'];
}

const SESSION = 'src/ingest/session.ts';
const OPENING = 'src/ingest/opening.ts';
const ACKNOWLEDGEMENTS = 'src/ingest/acknowledgements.ts';
const SURVEY = 'src/ingest/survey.ts';
const SCHEDULER = 'src/apply/scheduler.ts';
const HEAL = 'src/apply/heal.ts';
const LEASES = 'src/cluster/lease-keeper.ts';
const SLICE = 'src/apply/slice.ts';
const PARTITION_SLICE = 'src/apply/partition-slice.ts';

const INGEST: readonly Failpoint[] = [
  point('hello: received', OPENING, 'const hello = decodeHello(payload);‸', 'connect'),
  point('hello: sinks read', SURVEY, 'await progress.read(stream, above, told);‸', 'connect', 'sink_unavailable'),
  point('raise: before', SURVEY, '‸const places = await queue.raise(', 'connect', 'queue_unavailable'),
  point('raise: after', SURVEY, 'place: floors.get(partition) ?? START })));‸', 'connect', 'queue_unavailable'),
  point(
    'welcome: before',
    SESSION,
    '‸this.#outbox.send(welcomeFrame(this.#context, this.#settings, producer, survey, tables));',
    'connect',
  ),
  point('welcome: after', SESSION, 'this.#outbox.send(welcomeFrame(this.#context, this.#settings, producer, survey, tables));‸', 'connect'),
  point('batch: received', SESSION, '‸const refused = this.#payloads.refusalOf(frame,', 'load'),
  point(
    'append: before',
    'src/ingest/appender.ts',
    '‸const results = await queue.append(line.partition, line.calling);',
    'load',
    'queue_unavailable',
  ),
  point(
    'append: after',
    'src/ingest/appender.ts',
    'const results = await queue.append(line.partition, line.calling);‸',
    'load',
    'queue_unavailable',
  ),
  point('stored: before', ACKNOWLEDGEMENTS, '‸this.#send(FRAME.stored, lane, lane.stored);', 'load'),
  point('stored: after', ACKNOWLEDGEMENTS, 'this.#send(FRAME.stored, lane, lane.stored);‸', 'load'),
  point('rejected: before', ACKNOWLEDGEMENTS, '‸this.#outbox.send(encodeFrame({ type: FRAME.rejected,', 'load'),
  point('applied: before', ACKNOWLEDGEMENTS, '‸this.#send(FRAME.applied, lane, lane.applied);', 'load'),
  point('applied: after', ACKNOWLEDGEMENTS, 'this.#send(FRAME.applied, lane, lane.applied);‸', 'load'),
  point('rewind: before', ACKNOWLEDGEMENTS, '‸this.#outbox.send(encodeFrame({ type: FRAME.rewind,', 'wipe'),
  point('rewind: after', ACKNOWLEDGEMENTS, '‸lane.rewindDue = undefined;', 'wipe'),
  point('drain: goaway sent', SESSION, "this.#state = 'draining';‸", 'stop'),
  point('drain: the client leaves', SESSION, "this.#state = 'leaving';‸", 'stop'),
  point('drain: doors are closed', 'src/ingest/sessions.ts', '‸this.close();', 'stop'),
];

const APPLY: readonly Failpoint[] = [
  point(
    'lease: before acquire',
    LEASES,
    '‸const answer = await queue.acquire(lease, holder, leaseMs, claim);',
    'start',
    'queue_unavailable',
  ),
  point('lease: acquired', LEASES, 'const answer = await queue.acquire(lease, holder, leaseMs, claim);‸', 'start', 'queue_unavailable'),
  point('lease: before renew', LEASES, '‸const still = await queue.renew(leases, leaseMs);', 'interval', 'queue_unavailable'),
  point('lease: renewed', LEASES, 'const still = await queue.renew(leases, leaseMs);‸', 'interval', 'queue_unavailable'),
  point('lease: before release', LEASES, '‸await this.#options.queue.release(leases).catch(ignoreTransient);', 'stop'),
  point('lease: released', LEASES, 'await this.#options.queue.release(leases).catch(ignoreTransient);‸', 'stop'),
  point('heal: before', HEAL, '‸const healed = await queue.heal(lease, places);', 'start', 'queue_unavailable'),
  point('heal: after', HEAL, 'const healed = await queue.heal(lease, places);‸', 'start', 'queue_unavailable'),
  point('slice: before', SCHEDULER, '‸results = await this.#options.runner.run(tasks);', 'load', 'queue_unavailable'),
  point('slice: committed and not told', SCHEDULER, '‸this.#report(work.partition, result);', 'load'),
  point('slice: told', SCHEDULER, 'this.#report(work.partition, result);‸', 'load', 'queue_unavailable'),
  point('trim: before', SCHEDULER, '‸const trimmed = await this.#options.queue.trim(', 'load', 'queue_unavailable'),
  point('trim: after', SCHEDULER, '‸if (trimmed) return true;', 'load', 'queue_unavailable'),
  point(
    'backlog: read',
    SCHEDULER,
    'const backlog = await this.#options.queue.backlog(this.#options.sink.name);‸',
    'interval',
    'queue_unavailable',
  ),
  point(
    'fetch: before',
    PARTITION_SLICE,
    '‸this.#elements = await queue.fetch(lease.sink, lease.partition, limits);',
    'load',
    'queue_unavailable',
  ),
  point(
    'fetch: after',
    PARTITION_SLICE,
    'this.#elements = await queue.fetch(lease.sink, lease.partition, limits);‸',
    'load',
    'queue_unavailable',
  ),
  point('begin: before', SLICE, '‸const tx = await sink.begin(', 'load', 'sink_unavailable'),
  point('begin: watermarks are locked', SLICE, 'let committed = false;‸', 'load'),
  point('write: before', SLICE, '‸await tx.write(coalesce(', 'load', 'sink_unavailable'),
  point('write: after', SLICE, '‸await tx.commit(movesOf(plans), []);', 'load', 'sink_unavailable'),
  point('commit: after', SLICE, 'slice.settle(plans[i]!, []);‸', 'load'),
  point('write one: after', SLICE, '‸if (fault !== undefined) {', 'load', 'sink_unavailable'),
  point('commit one: before', SLICE, '‸await tx.commit(\n      movesOf([plan]),', 'load', 'sink_unavailable'),
  point('commit one: after', SLICE, '‸slice.settle(plan, failed);', 'load', 'commit_unknown'),
];

const REDIS: readonly Failpoint[] = [
  point('redis: appended', 'src/queue/redis/redis-queue.ts', '‸return unpackResults(reply, entries);', 'load', 'queue_unavailable'),
  point('redis: elements read', 'src/queue/redis/redis-reader.ts', '‸const stretches = stretchesOf(listed);', 'load', 'queue_unavailable'),
  point('redis: large frames read', 'src/queue/redis/redis-reader.ts', '‸frames.set(apart, bytes as Buffer);', 'load', 'queue_unavailable'),
  point('redis: healed', 'src/queue/redis/redis-queue.ts', '‸for (const number of numbers) healed.push(', 'start', 'queue_unavailable'),
];

const MYSQL: readonly Failpoint[] = [
  point(
    'mysql: watermarks created',
    'src/sinks/mysql/watermarks.ts',
    "‸await connection.run('COMMIT');\n  }\n  return owners;",
    'connect',
    'sink_unavailable',
  ),
  point('mysql: watermarks locked', 'src/sinks/mysql/mysql.ts', '‸const unknown = taking.filter(', 'load', 'sink_unavailable'),
  point('mysql: before a statement', 'src/sinks/mysql/writer.ts', '‸const statement = this.#measured(sql);', 'load', 'sink_unavailable'),
  point('mysql: after a statement', 'src/sinks/mysql/writer.ts', '‸judge?.(outcome);', 'load', 'sink_unavailable'),
  point(
    'mysql: in a savepoint',
    'src/sinks/mysql/savepoint.ts',
    "await connection.run('SAVEPOINT change_start');‸",
    'load',
    'sink_unavailable',
  ),
  point(
    'mysql: savepoint undone',
    'src/sinks/mysql/savepoint.ts',
    "await connection.run('ROLLBACK TO SAVEPOINT change_start');‸",
    'load',
    'sink_unavailable',
  ),
  point('mysql: dead letters written', 'src/sinks/mysql/transaction.ts', '‸if (moved) await moveWatermarks(', 'load', 'sink_unavailable'),
  point('mysql: before COMMIT', 'src/sinks/mysql/transaction.ts', "‸await connection.run('COMMIT');", 'load', 'sink_unavailable'),
  point('mysql: after COMMIT', 'src/sinks/mysql/transaction.ts', "await connection.run('COMMIT');‸", 'load', 'sink_unavailable'),
  point('mysql: before ROLLBACK', 'src/sinks/mysql/transaction.ts', "‸await connection.run('ROLLBACK');", 'load', 'sink_unavailable'),
];

const SQLITE_SINK: readonly Failpoint[] = [
  point('sqlite: locked', 'src/sinks/sqlite/file.ts', 'this.#locked = true;‸', 'load'),
  point('sqlite: rows written', 'src/sinks/sqlite/transaction.ts', '‸for (const child of own.table.info.deferredChildren)', 'load'),
  point('sqlite: in a savepoint', 'src/sinks/sqlite/transaction.ts', "db.exec('SAVEPOINT syncline_change');‸", 'load'),
  point('sqlite: watermarks moved', 'src/sinks/sqlite/transaction.ts', '‸this.#file.assertInPlace();', 'load'),
  point('sqlite: before COMMIT', 'src/sinks/sqlite/transaction.ts', "‸db.exec('COMMIT');", 'load'),
  point('sqlite: after COMMIT', 'src/sinks/sqlite/transaction.ts', "db.exec('COMMIT');‸", 'load'),
];

const EMBEDDED_QUEUE: readonly Failpoint[] = [
  point('embedded: asked', 'src/queue/embedded.ts', 'this.#writer.worker.postMessage(this.#outbox, this.#transfers);‸', 'load'),
  point('embedded: inserted', 'src/queue/embedded/store.ts', '‸record = { producer: entry.producer, place:', 'load'),
  point('embedded: deleted', 'src/queue/embedded/store.ts', '‸this.#sql.addToList.run(-count, -removed, sink, partition);', 'load'),
  point('embedded: before COMMIT', 'src/queue/embedded/store.ts', "‸this.#database.exec('COMMIT');", 'load'),
  point('embedded: after COMMIT', 'src/queue/embedded/store.ts', "this.#database.exec('COMMIT');‸", 'load'),
  point('embedded: answered', 'src/queue/embedded.ts', '‸this.#usedBytes = usedBytes;\n    this.#trouble = trouble;', 'load'),
];

const CLIENT: readonly Failpoint[] = [
  client('client: before HELLO', 'src/client/session.ts', "‸if (this.#state === 'greeting') this.#connection.write(", 'start'),
  client('client: after HELLO', 'src/client/session.ts', 'type: FRAME.hello, payload }));‸', 'start'),
  client('client: WELCOME came', 'src/client/session.ts', '‸this.#outbox.begin(welcome.stored);', 'start'),
  client('client: before a frame is sent', 'src/client/session.ts', '‸this.#connection.write(frame.bytes);', 'load'),
  client('client: after a frame is sent', 'src/client/session.ts', 'this.#connection.write(frame.bytes);‸', 'load'),
  client('client: STORED came', 'src/client/session.ts', '‸if (this.#outbox.stored(partition,', 'load'),
  client('client: REJECTED came', 'src/client/session.ts', '‸return this.#listener.rejected(partition,', 'load'),
  client('client: REWIND came', 'src/client/session.ts', '‸if (!this.#outbox.rewind(partition, seq)) {', 'wipe'),
  client('client: before APPLIED is noted', 'src/client/outbox.ts', '‸this.#spool.applied(partition, place);', 'load'),
  client('client: after APPLIED is noted', 'src/client/outbox.ts', 'this.#spool.applied(partition, place);‸', 'load'),
  client('client: frames are durable', 'src/client/outbox.ts', '‸for (const frame of frames) frame.durable = true;', 'load'),
  client('spool: before a write', 'src/client/generation.ts', '‸await file.write(bytes, segment.bytes);\n      await file.sync();', 'load'),
  client('spool: before a sync', 'src/client/generation.ts', 'await file.write(bytes, segment.bytes);‸\n      await file.sync();', 'load'),
  client('spool: after a sync', 'src/client/generation.ts', 'await file.write(bytes, segment.bytes);\n      await file.sync();‸', 'load'),
  client('spool: marked', 'src/client/file-spool.ts', 'await this.#generation?.mark();‸', 'interval'),
  client('spool: a segment is created', 'src/client/generation.ts', '‸this.#nextIndex += 1;', 'start'),
  client(
    'spool: a segment is removed',
    'src/client/generation.ts',
    'await this.#disk.remove(path);‸\n      this.#segments.shift();',
    'start',
  ),
  client('spool: opened', 'src/client/file-spool.ts', '‸const replay = emptyReplay();', 'start'),
  client('spool: before the note', 'src/client/file-spool.ts', 'remember(note: string): Promise<void> {‸', 'new spool'),
  client('spool: before the head is replaced', 'src/client/file-spool.ts', '‸await disk.replace(join(folder, HEAD),', 'new spool'),
  client('spool: head written', 'src/client/disk.ts', '‸await rename(temporary, path);', 'new spool'),
  client('spool: head renamed', 'src/client/disk.ts', 'await rename(temporary, path);‸', 'new spool'),
  client('spool: head replaced', 'src/client/file-spool.ts', '‸const superseded = this.#superseded.filter(', 'new spool'),
];

/** Every place, in the order in which a change meets them. */
export const FAILPOINTS: readonly Failpoint[] = [...INGEST, ...APPLY, ...REDIS, ...MYSQL, ...SQLITE_SINK, ...EMBEDDED_QUEUE, ...CLIENT];

export function failpoint(name: string): Failpoint {
  const found = FAILPOINTS.find((point) => point.name === name);
  if (found === undefined) throw new Error(`there is no failpoint "${name}"`);
  return found;
}

function point(name: string, file: string, place: string, reached: Occasion, loss?: ErrorCode): Failpoint {
  return { name, file, place, of: 'server', reached, ...(loss === undefined ? {} : { loss }) };
}

function client(name: string, file: string, place: string, reached: Occasion): Failpoint {
  return { name, file, place, of: 'client', reached };
}
