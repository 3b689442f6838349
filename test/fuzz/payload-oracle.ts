import { strict as assert } from 'node:assert';
import { Access } from '../../src/core/access.ts';
import type { Batch } from '../../src/core/change.ts';
import { SyncError } from '../../src/core/errors.ts';
import { decodeBatch, encodeBatch } from '../../src/protocol/batch.ts';
import { expandPayload } from '../../src/protocol/expand-payload.ts';
import type { Frame } from '../../src/protocol/frame.ts';
import { BatchScan } from '../../src/protocol/scan.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { Sample } from './samples.ts';

/** Reads of single bytes that a scan may need: a few per byte, and some more for the names that it compares. */
const READS_PER_BYTE = 16;
const FREE_READS = 4_096;
/** Of payloads, how many have the work counted that they cause. */
const COUNTED = 1 / 500;
const MAX_COUNTED_BYTES = 5_000;

/** Allows some of the samples, some of them in part, and others not at all. */
const ACCESS = new Access('fuzz', [
  { tables: ['citi*'], operations: ['upsert', 'delete'] },
  { tables: ['orders', 't'], operations: ['insert', 'upsert'], columns: ['total'] },
]);

const scan = new BatchScan();

/**
 * What must hold for the payload of a frame that the decoder gave out: scan and decoder agree, what is accepted can be
 * written again and means the same, rules are asked for what is applied, and refusing is said in the protocol's words. `sample` is what was sent, where nothing was done to it. Throws what is wrong.
 */
export function checkPayload(frame: Frame, maxBytes: number, random: SeededRandom, sample?: Sample): 'accepted' | 'refused' {
  let payload: Uint8Array;
  try {
    payload = expandPayload(frame, maxBytes);
  } catch (error) {
    assert(error instanceof SyncError && (error.code === 'malformed_payload' || error.code === 'payload_too_large'), error as Error);
    return 'refused';
  }
  assert(payload.length <= maxBytes || payload === frame.payload, `a payload expanded to ${payload.length} bytes`);
  if (random.chance(COUNTED) && payload.length < MAX_COUNTED_BYTES) checkWork(payload);
  const accepted = scan.scan(payload, ACCESS);
  // The decoder scans first, too: that it does is looked at now and then.
  if (!accepted && random.chance(0.9)) return 'refused';
  let decoded: Batch;
  try {
    decoded = decodeBatch(payload);
  } catch (error) {
    assert(error instanceof SyncError && error.code === 'malformed_payload', error as Error);
    // Repeated keys in a map are found by the decoder alone.
    assert(!accepted || error.message.includes('repeats a key'), `the scan took what the decoder refused: ${error.message}`);
    return 'refused';
  }
  assert(sample?.mustBeRefused !== true, 'a batch was taken that nobody may take');
  assert(accepted, `the decoder took what the scan refused: ${scan.reason}`);
  const changes = decoded.groups.reduce((sum, { rows }) => sum + rows.length, 0);
  assert.equal(changes, scan.changes, 'scan and decoder count the same changes');
  const isAllowed = decoded.groups.some(({ table, op, keyCount, columns }) => ACCESS.faultOf(table, op, keyCount, columns) === undefined);
  assert.equal(scan.denial === undefined, isAllowed, 'the door asks for the tables, operations and columns that are applied');
  // What our encoder wrote comes out as it went in.
  const again = Buffer.from(encodeBatch(decoded));
  assert(sample?.isOurs !== true || again.equals(sample.payload), 'a batch was decoded that is not the one that was sent');
  if (random.chance(0.7)) return 'accepted';
  assert(again.equals(encodeBatch(decodeBatch(again))), 'what was decoded and written means the same');
  return 'accepted';
}

/** The work of a scan is bounded by the bytes it is given, whatever they say: counted, not timed. */
function checkWork(payload: Uint8Array): void {
  let reads = 0;
  const counting = new Proxy(payload, {
    get(target, property) {
      if (typeof property === 'string' && property >= '0' && property <= ':') reads++;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value as (this: unknown) => unknown).bind(target) : value;
    },
  });
  new BatchScan().scan(counting);
  const bound = payload.length * READS_PER_BYTE + FREE_READS;
  assert(reads <= bound, `a scan of ${payload.length} bytes read ${reads} times, more than ${bound}`);
}
