import { BatchBuilder, decodeBatch } from '../../src/protocol/batch.ts';
import { ITEM_COLUMNS } from '../workload.ts';
import type { Micro } from './micro.ts';
import { batchOf, SAMPLE_ROWS, sampleItems } from './samples.ts';

export const batches: Micro = {
  name: 'batches',
  title: 'rows to the payload of a batch and back (src/protocol/batch.ts, msgpack.ts, msgpack-reader.ts)',
  cases() {
    const items = sampleItems();
    const payload = batchOf(items);
    const single = batchOf(items.slice(0, 1));
    const builder = new BatchBuilder();
    return [
      {
        name: 'encode, one batch of all rows',
        unit: 'change',
        count: SAMPLE_ROWS,
        run: () => {
          for (const item of items) builder.add('item', 'upsert', 1, ITEM_COLUMNS, item);
          return builder.finish();
        },
      },
      { name: 'scan and decode, one batch of all rows', unit: 'change', count: SAMPLE_ROWS, run: () => decodeBatch(payload) },
      {
        name: 'scan and decode, a batch for each row',
        unit: 'change',
        count: 1000,
        run: () => {
          for (let i = 0; i < 1000; i++) decodeBatch(single);
        },
      },
    ];
  },
};
