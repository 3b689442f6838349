import { statSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { SyncError } from '../../core/errors.ts';
import { START, type Place, type StreamId } from '../../core/stream.ts';
import { IDENTITY_END, IDENTITY_START, stampElement } from '../element.ts';
import type { AppendResult, Backlog } from '../queue.ts';
import { foreignFloor, healRecord, judgeEntry, raiseRecord, resetRecord, type StreamRecord } from '../record.ts';
import { DiskRoom } from './disk-room.ts';
import { sqliteError } from './errors.ts';
import type { Envelope, Failure, Replies, Reply, Request, WriterData } from './requests.ts';
import { listTable, openForWriting, PARTITION_SPAN, queueFile } from './schema.ts';

/** Free pages that the file may keep for reuse, in bytes; beyond it, it shrinks while nothing else is to do. */
const SPARE_BYTES = 64 * 1024 * 1024;
const VACUUM_PAGES = 512;
/** Size of the write-ahead log at which readers are waited for, so that it can start anew. */
const LOG_ALARM_BYTES = 256 * 1024 * 1024;

interface ListStatements {
  readonly insert: StatementSync;
  readonly head: StatementSync;
  readonly at: StatementSync;
  readonly sizeUpTo: StatementSync;
  readonly deleteUpTo: StatementSync;
}

/** The file of an embedded queue, as the one thread that writes it sees it. All of a group of requests is one transaction. */
export class EmbeddedStore {
  readonly #database: DatabaseSync;
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #room: DiskRoom;
  readonly #pageBytes: number;
  readonly #partitionCount: number;
  readonly #lists = new Map<string, ListStatements>();
  readonly #sql: ReturnType<typeof prepareStatements>;
  #usedBytes = 0;
  #spareBytes = 0;
  #trouble: Failure | undefined;

  /** Opens the file or creates it. @throws {SyncError} */
  constructor({ folder, settings, maxBytes }: WriterData) {
    const database = openForWriting(folder, settings);
    this.#database = database;
    this.#folder = folder;
    this.#maxBytes = maxBytes;
    this.#room = new DiskRoom(folder);
    this.#partitionCount = settings.partitions;
    this.#pageBytes = Number(database.prepare('PRAGMA page_size').get()?.['page_size']);
    this.#sql = prepareStatements(database);
    for (const { name } of settings.sinks) this.#lists.set(name, prepareList(database, listTable(database, name) as string));
    this.#measure();
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Runs the requests of `group` in order and commits them together. */
  run(group: readonly Envelope[]): Replies {
    const replies = this.#transaction(group) ?? this.#separately(group);
    this.#measure();
    this.#room.measure();
    const { shortage } = this.#room;
    const trouble = this.#trouble ?? (shortage === undefined ? undefined : { code: 'queue_full' as const, message: shortage });
    return { replies, usedBytes: this.#usedBytes, trouble };
  }

  /** Gives space back and bounds the log. Returns whether there is more to do. */
  tidy(): boolean {
    try {
      this.#shrink();
      const logBytes = statSync(`${queueFile(this.#folder)}-wal`, { throwIfNoEntry: false })?.size ?? 0;
      if (logBytes > LOG_ALARM_BYTES) this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch (error) {
      // A full disk: the next request reports it.
      if (sqliteError(error) === undefined) throw error;
      return false;
    }
    return this.#spareBytes > SPARE_BYTES;
  }

  #shrink(): void {
    if (this.#spareBytes <= SPARE_BYTES) return;
    this.#database.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    this.#measure();
    // The file itself gets shorter when the log is copied into it.
    if (this.#spareBytes <= SPARE_BYTES) this.#database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  }

  close(): void {
    this.#database.close();
  }

  #transaction(group: readonly Envelope[]): Reply[] | undefined {
    try {
      this.#database.exec('BEGIN');
      const replies = group.map((envelope) => this.#answer(envelope));
      this.#database.exec('COMMIT');
      if (group.some(({ request }) => request.type === 'append' || request.type === 'probe')) this.#trouble = undefined;
      return replies;
    } catch (error) {
      const problem = sqliteError(error);
      if (problem === undefined) throw error;
      this.#trouble = { code: problem.code, message: problem.message };
      // SQLite may have rolled back already.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      return undefined;
    }
  }

  /** After a group failed: what frees space or only reads gets its chance alone, what needs space is refused. */
  #separately(group: readonly Envelope[]): Reply[] {
    const failure = this.#trouble as Failure;
    return group.flatMap((envelope): Reply[] => {
      const { type } = envelope.request;
      const refused = [{ id: envelope.id, error: failure }];
      return group.length === 1 || type === 'append' || type === 'probe' ? refused : (this.#transaction([envelope]) ?? refused);
    });
  }

  /** A {@link SyncError} of one request is its answer, thrown before it changed anything; errors of SQLite end the transaction. */
  #answer({ id, request }: Envelope): Reply {
    try {
      return { id, value: this.#execute(request) };
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      return { id, error: { code: error.code, message: error.message } };
    }
  }

  #execute(request: Request): unknown {
    switch (request.type) {
      case 'append':
        return this.#append(request);
      case 'raise':
        return this.#raise(request);
      case 'streams':
        return this.#streams(request.partition);
      case 'trim':
        return this.#trim(request);
      case 'heal':
        return this.#heal(request);
      case 'backlog':
        return this.#backlog(request.sink);
      case 'forget':
        for (const stream of request.streams) this.#sql.deleteRecord.run(request.partition, stream);
        return undefined;
      case 'probe':
        this.#sql.probe.run();
        return undefined;
    }
  }

  #append({ partition, nowUs, entries, bytes }: Request & { type: 'append' }): AppendResult[] {
    if (this.#usedBytes >= this.#maxBytes)
      throw new SyncError(
        'queue_full',
        `the embedded queue uses its limit of ${this.#maxBytes} bytes; raise queue.maxBytes or wait until it drains`,
      );
    const refusal = this.#room.refusalOf(bytes.length);
    if (refusal !== undefined) throw new SyncError('queue_full', refusal);
    const state = this.#sql.getPartition.get(partition) as { ordinal: number; stored_at_us: number };
    const storedAtUs = Math.max(nowUs, state.stored_at_us);
    const records = new Map<StreamId, StreamRecord | undefined>();
    const changed = new Set<StreamId>();
    const results: AppendResult[] = [];
    let { ordinal } = state;
    let count = 0;
    let pushedBytes = 0;
    for (const entry of entries) {
      if (!records.has(entry.stream)) records.set(entry.stream, this.#record(partition, entry.stream));
      let record = records.get(entry.stream);
      const verdict = judgeEntry(record, entry);
      if (verdict === 'append') {
        ordinal++;
        const element = bytes.subarray(entry.start, entry.end);
        stampElement(element, storedAtUs, ordinal);
        for (const list of this.#lists.values()) list.insert.run(partition * PARTITION_SPAN + ordinal, storedAtUs, element);
        record = { producer: entry.producer, place: { seq: entry.seq, crc: entry.crc }, ordinal };
        records.set(entry.stream, record);
        changed.add(entry.stream);
        count++;
        pushedBytes += element.length;
      }
      results.push({ verdict, stored: record?.place ?? START });
    }
    if (count === 0) return results;
    for (const stream of changed) this.#setRecord(partition, stream, records.get(stream) as StreamRecord);
    this.#sql.setPartition.run(ordinal, storedAtUs, partition);
    for (const sink of this.#lists.keys()) this.#sql.addToList.run(count, pushedBytes, sink, partition);
    return results;
  }

  #raise({ floors }: Request & { type: 'raise' }): Place[] {
    const foreign = foreignFloor(floors, ({ partition, stream }) => this.#record(partition, stream));
    if (foreign) throw new SyncError('stream_owned_by_other', `stream ${foreign.stream} belongs to another producer; start a new stream`);
    return floors.map((floor) => {
      const record = this.#record(floor.partition, floor.stream);
      const raised = raiseRecord(record, floor);
      if (raised !== undefined && raised !== record) this.#setRecord(floor.partition, floor.stream, raised);
      return raised?.place ?? START;
    });
  }

  #streams(partition: number): Map<StreamId, Place> {
    const places = new Map<StreamId, Place>();
    for (const row of this.#sql.allRecords.iterate(partition))
      places.set(String(row['stream']), { seq: Number(row['seq']), crc: Number(row['crc']) });
    return places;
  }

  #trim({ sink, partition, count, last, resets }: Request & { type: 'trim' }): boolean {
    const list = this.#list(sink);
    const start = partition * PARTITION_SPAN;
    const row = list.at.get(start, start + PARTITION_SPAN, count - 1) as { id: number; element: Uint8Array } | undefined;
    if (row === undefined || Buffer.compare(row.element.subarray(IDENTITY_START, IDENTITY_END), last) !== 0) return false;
    const removed = Number(list.sizeUpTo.get(start, row.id)?.['bytes']);
    list.deleteUpTo.run(start, row.id);
    this.#sql.addToList.run(-count, -removed, sink, partition);
    for (const { stream, place } of resets) {
      const record = resetRecord(this.#record(partition, stream), place);
      if (record !== undefined) this.#setRecord(partition, stream, record);
    }
    return true;
  }

  #heal({ sink, partition, watermarks }: Request & { type: 'heal' }): StreamId[] {
    const start = partition * PARTITION_SPAN;
    const head = this.#list(sink).head.get(start, start + PARTITION_SPAN);
    const headOrdinal = head && Number(head['id']) - start;
    const healed: StreamId[] = [];
    for (const [stream, watermark] of watermarks) {
      const record = healRecord(this.#record(partition, stream), watermark, headOrdinal);
      if (record === undefined) continue;
      this.#setRecord(partition, stream, record);
      healed.push(stream);
    }
    return healed;
  }

  #backlog(sink: string): Backlog[] {
    const { head } = this.#list(sink);
    return Array.from({ length: this.#partitionCount }, (_, partition) => {
      const { count, bytes } = this.#sql.getList.get(sink, partition) as { count: number; bytes: number };
      const first = head.get(partition * PARTITION_SPAN, (partition + 1) * PARTITION_SPAN);
      return { count, bytes, headStoredAtUs: first && Number(first['stored_at_us']) };
    });
  }

  #record(partition: number, stream: StreamId): StreamRecord | undefined {
    const row = this.#sql.getRecord.get(partition, stream) as { seq: number; crc: number; ordinal: number; producer: string } | undefined;
    return row && { producer: row.producer, place: { seq: row.seq, crc: row.crc }, ordinal: row.ordinal };
  }

  #setRecord(partition: number, stream: StreamId, { place, ordinal, producer }: StreamRecord): void {
    this.#sql.setRecord.run(partition, stream, place.seq, place.crc, ordinal, producer);
  }

  #list(sink: string): ListStatements {
    const list = this.#lists.get(sink);
    if (list === undefined) throw new RangeError(`sink ${sink} has no list in this queue`);
    return list;
  }

  #measure(): void {
    const pages = Number(this.#sql.pageCount.get()?.['page_count']);
    const free = Number(this.#sql.freePages.get()?.['freelist_count']);
    this.#usedBytes = (pages - free) * this.#pageBytes;
    this.#spareBytes = free * this.#pageBytes;
  }
}

function prepareStatements(database: DatabaseSync) {
  return {
    getPartition: database.prepare('SELECT ordinal, stored_at_us FROM partitions WHERE partition = ?'),
    setPartition: database.prepare('UPDATE partitions SET ordinal = ?, stored_at_us = ? WHERE partition = ?'),
    getRecord: database.prepare('SELECT seq, crc, ordinal, producer FROM streams WHERE partition = ? AND stream = ?'),
    setRecord: database.prepare(
      'INSERT OR REPLACE INTO streams (partition, stream, seq, crc, ordinal, producer) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    deleteRecord: database.prepare('DELETE FROM streams WHERE partition = ? AND stream = ?'),
    allRecords: database.prepare('SELECT stream, seq, crc FROM streams WHERE partition = ?'),
    getList: database.prepare('SELECT count, bytes FROM lists WHERE sink = ? AND partition = ?'),
    addToList: database.prepare('UPDATE lists SET count = count + ?, bytes = bytes + ? WHERE sink = ? AND partition = ?'),
    probe: database.prepare('UPDATE settings SET probed = probed + 1'),
    pageCount: database.prepare('PRAGMA page_count'),
    freePages: database.prepare('PRAGMA freelist_count'),
  };
}

function prepareList(database: DatabaseSync, table: string): ListStatements {
  return {
    insert: database.prepare(`INSERT INTO ${table} (id, stored_at_us, element) VALUES (?, ?, ?)`),
    head: database.prepare(`SELECT id, stored_at_us FROM ${table} WHERE id > ? AND id < ? ORDER BY id LIMIT 1`),
    at: database.prepare(`SELECT id, element FROM ${table} WHERE id > ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?`),
    sizeUpTo: database.prepare(`SELECT sum(length(element)) AS bytes FROM ${table} WHERE id > ? AND id <= ?`),
    deleteUpTo: database.prepare(`DELETE FROM ${table} WHERE id > ? AND id <= ?`),
  };
}
