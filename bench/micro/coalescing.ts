import { coalesce } from '../../src/apply/coalesce.ts';
import type { Workload } from '../workload.ts';
import { itemUpsert } from './item-table.ts';
import type { Micro, MicroCase } from './micro.ts';
import { SAMPLE_ROWS, sampleItems } from './samples.ts';

export const coalescing: Micro = {
  name: 'coalesce',
  title: 'changes of a slice checked, folded and sorted by key (src/apply/coalesce.ts, src/sinks/mysql/table.ts)',
  cases() {
    const shape = itemUpsert();
    const items = sampleItems();
    return [
      {
        name: 'check every row',
        unit: 'change',
        count: SAMPLE_ROWS,
        run: () => {
          for (const item of items) if (shape.check(item) !== undefined) throw new Error('a row was refused');
        },
      },
      folding('every key once', 'inserts'),
      folding('80 % on 20 % of the keys', 'hot-keys'),
    ];
  },
};

function folding(name: string, kind: Workload['kind']): MicroCase {
  const input = [{ shape: itemUpsert(), rows: sampleItems(kind) }];
  return { name: `coalesce, ${name}`, unit: 'change', count: SAMPLE_ROWS, run: () => coalesce(input, { history: false }) };
}
