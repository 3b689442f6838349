/**
 * Our msgpack against msgpackr on rows of 13 fields: µs of CPU for each row, the median of 25 rounds after a warm-up.
 * Run: `node bench/msgpack.ts`
 */
import { Packr } from 'msgpackr';
import type { Row } from '../src/core/change.ts';
import { MsgpackReader } from '../src/protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../src/protocol/msgpack.ts';
import { BatchBuilder, decodeBatch } from '../src/protocol/batch.ts';
import { BatchScan } from '../src/protocol/scan.ts';

const ROW_COUNT = 5000;
const WARM_UP_ROUNDS = 25;
const ROUNDS = 25;
const COLUMNS = 'id name ascii alt lat lon class code country admin population elevation zone'.split(' ');

function row(i: number): Row {
  return [
    i + 2_000_000,
    `Città ${i}`,
    `Citta ${i}`,
    `Alternative name of place number ${i}, and another`,
    44 + i / 7919,
    8 + i / 104729,
    'P',
    'PPLA2',
    'IT',
    null,
    (i * 7919) % 10_000_000,
    i % 3000,
    'Europe/Rome',
  ];
}

const rows = Array.from({ length: ROW_COUNT }, (_, i) => row(i));
// `int64AsType: 'auto'` exists and is missing from the types.
const packr = new Packr({ useRecords: false, variableMapSize: true, copyBuffers: true, ...({ int64AsType: 'auto' } as object) });
const packed = packr.pack(rows);
const builder = new BatchBuilder();
const writer = new MsgpackWriter();
const scan = new BatchScan();
const payload = build();

function build(): Uint8Array {
  for (const values of rows) builder.add('cities', 'upsert', 1, COLUMNS, values);
  return builder.finish();
}

const figures: Record<string, string> = {
  'msgpackr encode': measure(() => packr.pack(rows)),
  'our encode': measure(() => {
    writer.value(rows, 0);
    return writer.take();
  }),
  'msgpackr decode': measure(() => packr.unpack(packed)),
  'our decode, unscanned': measure(() => new MsgpackReader(packed).value()),
  'our scan of a batch': measure(() => scan.scan(payload)),
  'our batch, built': measure(build),
  'our batch, scanned and decoded': measure(() => decodeBatch(payload)),
};
console.log(`node ${process.version}, ${ROW_COUNT} rows of ${COLUMNS.length} fields, ${payload.length} bytes`);
for (const [what, figure] of Object.entries(figures)) console.log(`${what.padEnd(32)} ${figure} µs per row`);

function measure(run: () => unknown): string {
  const rounds: number[] = [];
  for (let i = 0; i < WARM_UP_ROUNDS; i++) run();
  for (let i = 0; i < ROUNDS; i++) {
    const before = process.cpuUsage();
    run();
    const used = process.cpuUsage(before);
    rounds.push((used.user + used.system) / ROW_COUNT);
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1]!.toFixed(2);
}
