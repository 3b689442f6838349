import { coalesce } from '../../src/apply/coalesce.ts';
import type { Row } from '../../src/core/change.ts';
import type { Workload } from '../workload.ts';
import { itemUpsert } from './item-table.ts';
import type { Micro, MicroCase } from './micro.ts';
import { batchOf, freshRows, SAMPLE_ROWS, sampleItems } from './samples.ts';

export const coalescing: Micro = {
  name: 'coalesce',
  title: 'changes of a slice checked, folded and sorted by key (src/apply/coalesce.ts, src/sinks/mysql/table.ts)',
  cases() {
    const shape = itemUpsert();
    const payload = batchOf(sampleItems());
    let rows: readonly Row[] = [];
    return [
      {
        name: 'check every row',
        unit: 'change',
        count: SAMPLE_ROWS,
        prepare: () => void (rows = freshRows(payload)),
        run: () => {
          for (const row of rows) if (shape.check(row) !== undefined) throw new Error('a row was refused');
        },
      },
      folding('every key once', 'inserts'),
      folding('80 % on 20 % of the keys', 'hot-keys'),
    ];
  },
};

function folding(name: string, kind: Workload['kind']): MicroCase {
  const shape = itemUpsert();
  const payload = batchOf(sampleItems(kind));
  let rows: readonly Row[] = [];
  return {
    name: `coalesce, ${name}`,
    unit: 'change',
    count: SAMPLE_ROWS,
    prepare: () => void (rows = freshRows(payload)),
    run: () => coalesce([{ shape, rows }], { history: false }),
  };
}
