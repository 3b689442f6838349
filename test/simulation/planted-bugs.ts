import type { SourcePatch } from '../support/source-patches.ts';
import { BUGS_OF_CLUSTERS } from './planted-bugs-of-clusters.ts';
import { BUGS_OF_SEVERAL } from './planted-bugs-of-several.ts';

/** A mistake that somebody could make, as a change to the product's source; nothing of it is in the product. */
export interface PlantedBug {
  /** What the mistake is. */
  readonly name: string;
  /** Shows in one history of many hundreds: looked for by `find-bugs.ts`, and not replayed by the tests. */
  readonly isSeldom?: boolean;
  /** Shows only there: only such histories are run, and counted. */
  readonly on?: 'cluster';
  /** Together they are the mistake: where one rule makes up for another, both are broken. */
  readonly patches: readonly Omit<SourcePatch, 'name'>[];
}

const APPEND = 'src/queue/redis/scripts/append.lua';
const TRIM = 'src/queue/redis/scripts/trim.lua';
const READER = 'src/queue/redis/redis-reader.ts';
const SLICE = 'src/apply/slice.ts';
const PARTITION_SLICE = 'src/apply/partition-slice.ts';
const ACKNOWLEDGEMENTS = 'src/ingest/acknowledgements.ts';
const WATERMARKS = 'src/sinks/mysql/watermarks.ts';
const TRANSACTION = 'src/sinks/mysql/transaction.ts';
const COALESCE = 'src/apply/coalesce.ts';
const OUTBOX = 'src/client/outbox.ts';

/** Watermarks are read and not locked, so that two transactions may begin with the same. */
const NO_LOCK = {
  file: WATERMARKS,
  find: 'AND part=${partitionLiteral(partition)} FOR UPDATE`',
  replace: 'AND part=${partitionLiteral(partition)}`',
};

/** Watermarks may be moved wherever they stand. */
const ANY_MOVE = [
  { file: WATERMARKS, find: 'assert(seq > last,', replace: 'assert(seq >= 0 && last >= 0,' },
  { file: WATERMARKS, find: 'assert(affectedRows === 2 * some.length,', replace: 'assert(affectedRows >= 0,' },
];

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'no floor rule: what the sink has does not raise what counts as stored',
    patches: [
      {
        file: 'src/ingest/survey.ts',
        find: 'stored: await raiseRecords(queue, surveyed, watermarks) };',
        replace: 'stored: await raiseRecords(queue, surveyed, new Map()) };',
      },
    ],
  },
  {
    name: 'trim by count: elements go without a look at which they are',
    patches: [{ file: TRIM, find: 'if not last or string.sub(last, 6, 29) ~= ARGV[3] then', replace: 'if not last then' }],
  },
  {
    name: 'trim by count and without a lease',
    patches: [
      { file: TRIM, find: 'if not last or string.sub(last, 6, 29) ~= ARGV[3] then', replace: 'if not last then' },
      { file: TRIM, find: "if not lease or string.sub(lease, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then", replace: 'if false then' },
    ],
  },
  {
    name: 'no compare on the watermark: what is stored is applied, whatever the sink has',
    patches: [
      { file: PARTITION_SLICE, find: "if (item.content.type !== 'corrupt' && item.seq <= at.seq) continue;", replace: '' },
      {
        file: PARTITION_SLICE,
        find: "if (item.content.type !== 'corrupt' && item.seq === at.seq + 1 && item.prev === at.crc) {",
        replace: "if (item.content.type !== 'corrupt') {",
      },
      ...ANY_MOVE,
    ],
  },
  {
    name: 'the watermark is read and not locked',
    patches: [NO_LOCK],
  },
  {
    name: 'the watermark is upserted instead of locked',
    patches: [
      NO_LOCK,
      {
        file: WATERMARKS,
        find: 'assert(affectedRows === 2 * some.length,',
        replace: 'assert(affectedRows >= 0,',
      },
    ],
  },
  {
    name: 'a gap is accepted, at the door and by the slice',
    patches: [
      { file: APPEND, find: 'elseif seq > record.seq + 1 then\n    verdict = 2', replace: 'elseif false then\n    verdict = 2' },
      {
        file: APPEND,
        find: 'elseif known < count and prev ~= record.crc then',
        replace: 'elseif known < count and seq == record.seq + 1 and prev ~= record.crc then',
      },
      { file: PARTITION_SLICE, find: 'item.seq === at.seq + 1 && item.prev === at.crc', replace: 'item.seq > at.seq' },
    ],
  },
  {
    name: 'the stream is ignored: all streams of a partition share one record',
    patches: [
      { file: APPEND, find: "local text = redis.call('HGET', KEYS[1], hex)", replace: "local text = redis.call('HGET', KEYS[1], 'all')" },
      { file: APPEND, find: 'changed[#changed + 1] = hex', replace: "changed[#changed + 1] = 'all'" },
    ],
  },
  {
    name: 'going on after a lock wait timeout, which undid one statement only',
    patches: [
      {
        file: 'src/sinks/mysql/connection.ts',
        find: 'if (!error) return resolve(result);',
        replace: 'if (!error || (error as { errno?: number }).errno === 1205) return resolve(error ? { affectedRows: 1 } : result);',
      },
    ],
  },
  {
    name: 'an unknown commit is taken as done',
    patches: [
      {
        file: TRANSACTION,
        find: "throw new SyncError('commit_unknown', `the outcome of COMMIT is unknown: ${messageOf(error)}`);",
        replace: 'void messageOf; void SyncError; return;',
      },
    ],
  },
  {
    name: 'an unknown commit is taken as failed, and made again without a look at the watermark',
    patches: [
      {
        file: SLICE,
        find: '    await tx.commit(movesOf(plans), []);\n',
        replace:
          "    try {\n      await tx.commit(movesOf(plans), []);\n    } catch (error) {\n      if (!(error instanceof SyncError) || error.code !== 'commit_unknown') throw error;\n      const again = await context.sink.begin(slices.map(({ partition, claims }) => ({ partition, streams: claims })));\n      const failed: FailedBatch[] = [];\n      for (const accepted of inOrder(plans)) failed.push(...[(await applyChanges(again, accepted, 0)) ?? []].flat());\n      await again.commit(movesOf(plans), failed.flatMap((batch) => deadLettersOf(batch, slices[0]!.partition)));\n    }\n",
      },
      ...ANY_MOVE,
    ],
  },
  {
    name: 'of several partitions in one transaction, the watermarks of one do not move',
    patches: [
      {
        file: SLICE,
        find: '    await tx.commit(movesOf(plans), []);\n',
        replace: '    await tx.commit(movesOf(plans.slice(0, Math.max(1, plans.length - 1))), []);\n',
      },
    ],
  },
  {
    name: 'what was undone together is taken as applied',
    patches: [
      {
        file: SLICE,
        find: "return slice.result(taken.includes(slice) && slice.done === slice.length ? 'applied' : 'deferred');",
        replace: "slice.done = slice.length;\n    return slice.result('applied');",
      },
    ],
  },
  {
    name: 'data and watermark commit one after the other',
    patches: [
      {
        file: TRANSACTION,
        find: '      if (moved) await moveWatermarks(',
        replace:
          "      await connection.run('COMMIT');\n      await connection.run('START TRANSACTION');\n      if (moved) await moveWatermarks(",
      },
    ],
  },
  {
    name: 'dead letters commit apart from the watermark',
    patches: [
      {
        file: TRANSACTION,
        find: 'if (deadLetters.length > 0) await insertDeadLetters(connection, deadLetters, clock.wallMs());',
        replace: 'void deadLetters; void clock; void insertDeadLetters;',
      },
      {
        file: TRANSACTION,
        find: "      await connection.run('COMMIT');\n",
        replace:
          "      await connection.run('COMMIT');\n      if (deadLetters.length > 0) await insertDeadLetters(connection, deadLetters, clock.wallMs());\n",
      },
    ],
  },
  {
    name: 'poison is skipped in silence',
    patches: [
      {
        file: SLICE,
        find: '      failed.flatMap((batch) => deadLettersOf(batch, slice.partition)),',
        replace: '      failed.slice(failed.length).flatMap((batch) => deadLettersOf(batch, slice.partition)),',
      },
    ],
  },
  {
    name: 'a deadlock makes a dead letter',
    patches: [
      {
        file: 'src/sinks/mysql/savepoint.ts',
        find: "(error.kind !== 'permanent' && error.kind !== 'blocked')",
        replace: "(error.kind !== 'permanent' && error.kind !== 'blocked' && error.code !== 'sink_busy')",
      },
    ],
  },
  {
    name: 'folding that loses the order: the first of two changes wins',
    patches: [
      {
        file: COALESCE,
        find: 'const folded = plan && combine(plan, this.#rows[step] as Row, row);',
        replace: 'const folded = plan && combine(plan, row, this.#rows[step] as Row);',
      },
    ],
  },
  {
    name: 'folding across a change that fails: an insert vanishes behind a delete',
    patches: [{ file: COALESCE, find: '  insert: {\n', replace: "  insert: {\n    delete: 'replace',\n" }],
  },
  {
    name: 'the client forgets at STORED',
    patches: [
      {
        file: OUTBOX,
        find: '    this.#settle(lane, () => lane.markStored(place.seq));\n',
        replace: '    this.#settle(lane, () => lane.markStored(place.seq));\n    this.applied(partition, place);\n',
      },
    ],
  },
  {
    name: 'APPLIED from what the queue recorded',
    patches: [
      {
        file: 'src/ingest/recheck.ts',
        find: 'acknowledgements.found(lane, result);',
        replace:
          'acknowledgements.found(lane, result.watermarks.has(lane.partition) ? { ...result, watermarks: new Map([[lane.partition, stored]]) } : result);',
      },
    ],
  },
  {
    name: 'APPLIED before REJECTED: dead letters are not read when a client comes back',
    patches: [
      {
        file: 'src/ingest/survey.ts',
        find: '  return { watermarks, rejections, cut, stored:',
        replace: '  return { watermarks, rejections: rejections.slice(rejections.length), cut: new Map(), stored:',
      },
    ],
  },
  {
    name: 'APPLIED does not wait for the dead letters that were not read yet',
    patches: [
      {
        file: 'src/ingest/acknowledgements.ts',
        find: 'if (readUpTo === undefined) return this.applied(lane, watermark, own);',
        replace: 'if (readUpTo !== -1) return this.applied(lane, watermark, own);',
      },
    ],
  },
  {
    name: 'dead letters are read before the watermark',
    patches: [
      {
        file: 'src/apply/progress.ts',
        find: '    const states = await Promise.all(this.#sinks.map((sink) => sink.readStream(stream)));\n',
        replace:
          '    const early = new Map([...(await this.#sinks[0]!.readStream(stream)).watermarks].map(([partition, { seq }]) => [partition, seq]));\n    const before = await this.#sinks[0]!.readRejections(stream, told, early, this.#rejectionsAtOnce);\n    const states = await Promise.all(this.#sinks.map((sink) => sink.readStream(stream)));\n',
      },
      {
        file: 'src/apply/progress.ts',
        find: 'const page = await sink.readRejections(stream, told, upTo, this.#rejectionsAtOnce)',
        replace: 'const page = upTo.size < 0 ? await sink.readRejections(stream, told, upTo, 1) : before',
      },
    ],
  },
  {
    name: 'the rest of a frame is waited for without end',
    patches: [
      {
        file: 'src/protocol/frame-pace.ts',
        find: 'return elapsedMs >= ',
        replace: 'return Number.isNaN(elapsedMs) && elapsedMs >= ',
      },
    ],
  },
  {
    name: 'waiting for a stale REWIND',
    isSeldom: true,
    patches: [
      {
        file: ACKNOWLEDGEMENTS,
        find: '    // The client may forget what it was asked for: waiting for that would wedge the stream.\n    if (lane.awaited !== 0 && place.seq >= lane.awaited) lane.stopAwaiting();\n',
        replace: '',
      },
      {
        file: ACKNOWLEDGEMENTS,
        find: '    if (lane.awaited !== 0 && place.seq >= lane.awaited) lane.stopAwaiting();\n    if (place.seq >= lane.thrownAway)',
        replace: '    if (place.seq >= lane.thrownAway)',
      },
      {
        file: 'src/ingest/recheck.ts',
        find: 'if (lane.awaited <= newest.seq) acknowledgements.rewind',
        replace: 'if (lane.awaited === 0) acknowledgements.rewind',
      },
      {
        file: 'src/client/session.ts',
        find: 'return this.#broken(`the server asks for seq',
        replace: 'return void (`the server asks for seq',
      },
    ],
  },
  {
    name: 'no reset when the list is empty',
    patches: [
      {
        file: 'src/apply/heal.ts',
        find: 'const healed = await queue.heal(lease, places);',
        replace: 'const healed: readonly string[] = [];',
      },
    ],
  },
  {
    name: 'gaps do not heal: elements are dropped and nobody is asked again',
    patches: [
      {
        file: PARTITION_SLICE,
        find: 'resets: [...this.#gaps].map(',
        replace: 'resets: [...this.#gaps].slice(this.#gaps.size).map(',
      },
      {
        file: 'src/apply/heal.ts',
        find: 'const healed = await queue.heal(lease, places);',
        replace: 'const healed: readonly string[] = [];',
      },
    ],
  },
  {
    name: 'no chain: the frames of a restored client pass for duplicates',
    patches: [
      {
        file: APPEND,
        find: 'elseif known < count and prev ~= record.crc then\n    verdict = 3',
        replace: 'elseif false then\n    verdict = 3',
      },
      { file: PARTITION_SLICE, find: 'item.seq === at.seq + 1 && item.prev === at.crc', replace: 'item.seq === at.seq + 1' },
      {
        file: 'src/client/lane.ts',
        find: "return crc === place.crc ? 'agrees' : 'differs';",
        replace: "return crc === place.crc ? 'agrees' : 'agrees';",
      },
      {
        file: 'src/client/lane.ts',
        find: "if (place.seq > this.assigned.seq) return 'beyond';",
        replace: "if (place.seq > this.assigned.seq) return 'forgotten';",
      },
    ],
  },
  {
    name: 'the client sends before its spool is durable',
    patches: [
      {
        file: 'src/client/spool-writer.ts',
        find: '        await this.#spool.append(frames);\n',
        replace: '        this.#listener.durable(frames);\n        await this.#spool.append(frames);\n',
      },
    ],
  },
  {
    name: 'a restored stream starts a new count of what was applied',
    patches: [
      {
        file: OUTBOX,
        find: 'oldest.set(lane.partition, this.#reachOf(lane, lane.applied.seq) + 1);',
        replace: 'oldest.set(lane.partition, this.#reachOf(lane, lane.assigned.seq) + 1);',
      },
    ],
  },
  {
    name: 'a node with another number of partitions is let in',
    patches: [
      { file: APPEND, find: 'if meta[1] and meta[1] ~= ARGV[1] then', replace: 'if false then' },
      {
        file: 'src/queue/redis/condition.ts',
        find: 'this.#unfit = recorded === recordOfSettings(this.#settings) ? undefined',
        replace: 'this.#unfit = recorded !== "" ? undefined',
      },
      { file: 'src/queue/redis/scripts/raise.lua', find: 'if settings and settings ~= ARGV[1] then', replace: 'if false then' },
      {
        file: 'src/sinks/mysql/bookkeeping.ts',
        find: 'if (Number(partitions) !== settings.partitions) {',
        replace: 'if (Number(partitions) < 0) {',
      },
    ],
  },
  {
    name: 'what was read of the database is told before it is durable',
    patches: [{ file: 'src/apply/progress.ts', find: 'if (isNews) await Promise.all', replace: 'if (isNews && false) await Promise.all' }],
  },
  {
    name: 'elements go because the database showed them as applied, before that is durable',
    patches: [{ file: TRANSACTION, find: 'if (!moved && deadLetters.length === 0) await', replace: 'if (moves.length < 0) await' }],
  },
  {
    name: 'a restored database is not noticed: clients may lack what it lacks',
    patches: [
      { file: 'src/ingest/survey.ts', find: '  requireWatermarks(surveyed, watermarks);\n', replace: '  void requireWatermarks;\n' },
    ],
  },
  {
    name: 'a stream that the database lacks a part of is left at once, while the queue holds some of it',
    patches: [
      {
        file: 'src/client/link.ts',
        find: 'if (missing === undefined) return this.#startStream',
        replace: 'if (missing !== null) return this.#startStream',
      },
    ],
  },
  {
    name: 'a foreign key that fails is tried again for ever',
    patches: [
      {
        file: 'src/sinks/mysql/errors.ts',
        find: "  ['foreign_key', [1216, 1217, 1451, 1452, 1557, 1761, 1762]],\n",
        replace: "  ['sink_busy', [1216, 1217, 1451, 1452, 1557, 1761, 1762]],\n",
      },
    ],
  },
  {
    name: 'an upsert of a table with another unique index leaves it to the database which row that is',
    patches: [
      { file: 'src/sinks/mysql/statements.ts', find: 'soleUnique: others.length === 0,', replace: 'soleUnique: others.length >= 0,' },
    ],
  },
  {
    name: 'the checksum of a frame is not compared once it is stored',
    patches: [
      {
        file: 'src/apply/read-element.ts',
        find: "import { HEADER_BYTES, readFrame, type Frame } from '../protocol/frame.ts';",
        replace:
          "import { HEADER_BYTES, readHeader, type Frame } from '../protocol/frame.ts';\nconst readFrame = (bytes: Uint8Array): Frame => ({ ...readHeader(bytes), payload: bytes.subarray(HEADER_BYTES), bytes }) as Frame;",
      },
    ],
  },
  {
    name: 'no checksum over the header of a stored element',
    patches: [
      {
        file: 'src/queue/element.ts',
        find: 'return (crc + sumOfWords(buffer)) % TWO_32 === buffer.readUInt32BE(CHECK_AT);',
        replace: 'return (crc + sumOfWords(buffer)) % TWO_32 >= 0;',
      },
    ],
  },
  {
    name: 'nobody looks which clients a damaged element was of',
    patches: [
      {
        file: 'src/apply/scheduler.ts',
        find: 'if (result.damage.length > 0) work.needsHeal = true;',
        replace: '',
      },
      // Else sessions that wait long would make up for it.
      { file: 'src/node/node.ts', find: 'scheduler.heal(partition);\n        if', replace: 'if' },
    ],
  },
  {
    name: 'no checksum at the door',
    patches: [{ file: 'src/protocol/frame.ts', find: '  if (computed !== readU32(bytes, 20)) {', replace: '  if (computed < 0) {' }],
  },
  {
    name: 'large frames leave with the first elements of their append',
    patches: [{ file: TRIM, find: 'if string.sub(ARGV[5], i * 8 - 39, i * 8 - 32) ~= needed then', replace: 'if true then' }],
  },
  {
    name: 'large frames stay when the last element of their append leaves',
    patches: [{ file: 'src/apply/scheduler.ts', find: 'result.resets, result.apart)', replace: 'result.resets)' }],
  },
  {
    name: 'an element whose large frame is gone is skipped in silence',
    patches: [
      {
        file: READER,
        find: 'if (isWhole || isLast) return listed.map((element) => wholeElement(element, stretches, frames));',
        replace:
          'if (isWhole || isLast) return listed.map((element) => wholeElement(element, stretches, frames)).filter(({ kind, frame }) => kind !== "frame" || frame.length > 0);',
      },
    ],
  },
  {
    name: 'large frames expire although their elements are in the list',
    patches: [{ file: APPEND, find: "if redis.call('PERSIST', block) == 0 then", replace: "if redis.call('PTTL', block) < 0 then" }],
  },
  {
    name: 'what is trimmed while its large frames are read counts as damage',
    patches: [{ file: READER, find: 'if (isWhole || isLast)', replace: 'if (isWhole || !isLast)' }],
  },
  {
    name: 'connections to the database are made anew and not given back',
    patches: [{ file: TRANSACTION, find: '    } finally {\n      connections.give(connection);\n    }', replace: '    } finally {}' }],
  },
  {
    name: 'a stream that was left after a restored backup is not ended',
    patches: [{ file: 'src/client/outbox.ts', find: 'return isProven ? [] : this.#left;', replace: 'return isProven ? this.#left : [];' }],
  },
  ...BUGS_OF_SEVERAL,
  ...BUGS_OF_CLUSTERS,
];
