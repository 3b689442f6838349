import { Access, type Rule } from '../../src/core/access.ts';
import { BatchScan } from '../../src/protocol/scan.ts';
import type { Micro, MicroCase } from './micro.ts';
import { ITEM_COLUMNS } from '../workload.ts';
import { batchOf, SAMPLE_ROWS, sampleItems } from './samples.ts';

export const scan: Micro = {
  name: 'scan',
  title: 'untrusted payloads checked before anything is stored (src/protocol/scan.ts, value-scan.ts)',
  cases() {
    const items = sampleItems();
    const together = [batchOf(items)];
    const single = items.map((item) => batchOf([item]));
    return [
      scanning('one batch of all rows', together),
      scanning('one batch of all rows, of a producer with rules', together, access(undefined)),
      scanning('a batch for each row', single),
      scanning('a batch for each row, of a producer with rules', single, access(undefined)),
      scanning('a batch for each row, of a producer with rules for columns', single, access(ITEM_COLUMNS)),
    ];
  },
};

/** Ten rules, the last of which allows it. */
function access(columns: readonly string[] | undefined): Access {
  const others = Array.from({ length: 9 }, (_, i): Rule => ({ tables: [`other_${i}`, `more_${i}_*`], operations: ['insert', 'update'] }));
  return new Access('shop', [...others, { tables: ['item'], operations: ['upsert'], columns }]);
}

function scanning(name: string, payloads: readonly Uint8Array[], rules?: Access): MicroCase {
  const one = new BatchScan();
  const run = () => {
    for (const payload of payloads) if (!one.scan(payload, rules) || one.denial !== undefined) throw new Error(one.reason);
  };
  return { name, unit: 'change', count: SAMPLE_ROWS, run };
}
