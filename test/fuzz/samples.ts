import { readFileSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import { encodeBatch } from '../../src/protocol/batch.ts';

/** What a case begins with: payloads of BATCH that are right, and some that are meant to hurt. */
export interface Sample {
  readonly payload: Buffer;
  /** Compressed: bit 0 of the flags is set. */
  readonly zstd: boolean;
  /** Our encoder wrote it: it must come out of the decoder as it went in. */
  readonly isOurs?: true;
  readonly mustBeRefused?: true;
}

const BOMB_BYTES = 65_536;
/** As the protocol has it, whatever the product believes; one of them is the batch itself. */
const MAX_DEPTH = 16;

export const GOOD: readonly Sample[] = [...ourBatches(), ...recordedBatches()];
/** What nobody may take. */
export const BOMBS: readonly Sample[] = (
  [
    // 65 kB of zeros, of nested arrays, and of rows in some dozens of bytes; and what says that it is 4 GiB.
    zstd(Buffer.alloc(BOMB_BYTES)),
    zstd(Buffer.alloc(BOMB_BYTES, 0x91)),
    zstd(Buffer.alloc(BOMB_BYTES + 1, 0xc0)),
    { payload: Buffer.from('28b52ffdc0ffffffffffffff0001000000', 'hex'), zstd: true },
    { payload: Buffer.from('28b52ffda0ffffffff4b0000000000000000', 'hex'), zstd: true },
    // Deep, wide, and only announced.
    plain(Buffer.concat([Buffer.from('81a163', 'hex'), Buffer.alloc(4000, 0x91)])),
    plain(nestedOrigin(MAX_DEPTH)),
    plain(Buffer.from('81a163ddffffffff', 'hex')),
    plain(Buffer.from('dfffffffffa163', 'hex')),
    plain(Buffer.from('81a163c6ffffffff', 'hex')),
    plain(Buffer.from('81a163dbffffffff', 'hex')),
    plain(Buffer.from('81a1639195a163000191a164dd00010000', 'hex')),
  ] as const
).map((sample: Sample) => ({ ...sample, mustBeRefused: true }));
/** What is right, and takes far more when it is decoded than on the way. */
export const HEAVY: readonly Sample[] = [zstd(emptyRows(60_000)), plain(emptyRows(3000)), plain(manyColumns(1000))];

function plain(payload: Buffer): Sample {
  return { payload, zstd: false };
}

function zstd(expanded: Buffer): Sample {
  const params = { [constants.ZSTD_c_contentSizeFlag]: 1, [constants.ZSTD_c_compressionLevel]: 3 };
  return { payload: zstdCompressSync(expanded, { params, pledgedSrcSize: expanded.length }), zstd: true };
}

function ourBatches(): Sample[] {
  const groups = [
    {
      table: 'cities',
      op: 'upsert',
      keyCount: 1,
      columns: ['id', 'name'],
      rows: [
        [1, 'Zürich'],
        [2, null],
        [3, 'x'.repeat(40)],
      ],
    },
    { table: 'cities', op: 'update', keyCount: 1, columns: ['id', 'doc'], rows: [[7, { a: [1, -5, 2.5, 2n ** 60n], b: { c: true } }]] },
    { table: 'cities', op: 'delete', keyCount: 2, columns: ['id', 'at'], rows: [['a', Uint8Array.of(1, 2, 3)]] },
    {
      table: 'orders',
      op: 'insert',
      keyCount: 1,
      columns: ['id', 'total'],
      rows: Array.from({ length: 20 }, (_, i) => [i * 1000, `${i}.50`]),
    },
  ] as const;
  const batches = [
    ...groups.map((group) => ({ groups: [group] })),
    { timeMs: 1_795_000_000_000, origin: { file: 'x', at: [1, null] }, groups },
  ];
  const payloads = batches.map((batch) => Buffer.from(encodeBatch(batch)));
  return [...payloads.map((payload) => ({ payload, zstd: false, isOurs: true as const })), zstd(payloads[3] as Buffer)];
}

/** Every valid batch of the published vectors. */
function recordedBatches(): Sample[] {
  const file = new URL('../vectors/batches.json', import.meta.url);
  const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { vectors: readonly { readonly hex: string }[] };
  return vectors.map(({ hex }) => plain(Buffer.from(hex, 'hex'))).filter(({ payload }) => payload.length < 4000);
}

/** A batch of so many rows with one nil each: what it takes decoded is far more than its bytes. */
function emptyRows(count: number): Buffer {
  const head = Buffer.from('81a1639195a1740001 91a169 dd00000000'.replaceAll(' ', ''), 'hex');
  head.writeUInt32BE(count, head.length - 4);
  return Buffer.concat([head, Buffer.alloc(count * 2, Buffer.from([0x91, 0xc0]))]);
}

/** A batch that is right but for its origin, which nests so deep within the batch. */
function nestedOrigin(depth: number): Buffer {
  const groups = [{ table: 't', op: 'upsert', keyCount: 1, columns: ['i'], rows: [[1]] }] as const;
  const rest = encodeBatch({ groups }).subarray(1);
  return Buffer.concat([Buffer.from('82a16f', 'hex'), Buffer.alloc(depth, 0x91), Buffer.from([0xc0]), rest]);
}

function manyColumns(count: number): Buffer {
  const names = Array.from({ length: count }, (_, i) => `c${i}`);
  return Buffer.from(encodeBatch({ groups: [{ table: 't', op: 'upsert', keyCount: 1, columns: names, rows: [names.map(() => 1)] }] }));
}
