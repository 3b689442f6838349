import { Statements } from '../../src/sinks/mysql/statements.ts';
import { itemUpsert } from './item-table.ts';
import type { Micro } from './micro.ts';
import { SAMPLE_ROWS, sampleItems } from './samples.ts';

const ROWS_PER_STATEMENT = 1000;

export const sql: Micro = {
  name: 'sql',
  title: 'rows to SQL text (src/sinks/mysql/statements.ts, columns.ts)',
  cases() {
    const shape = itemUpsert();
    const statements = new Statements(shape, true);
    const items = sampleItems();
    const columns = shape.codecs.map((codec, at) => ({
      name: `literals of column ${shape.columns[at]}`,
      unit: 'change',
      count: SAMPLE_ROWS,
      run: () => {
        let length = 0;
        for (const item of items) length += codec.literal(item[at] as string | number).length;
        return length;
      },
    }));
    return [
      {
        name: `upserts of ${ROWS_PER_STATEMENT} rows, as bytes`,
        unit: 'change',
        count: SAMPLE_ROWS,
        run: () => {
          for (let start = 0; start < SAMPLE_ROWS; start += ROWS_PER_STATEMENT) {
            let tuples = statements.tuple(items[start] as (typeof items)[number]);
            for (let i = start + 1; i < start + ROWS_PER_STATEMENT; i++)
              tuples += `,${statements.tuple(items[i] as (typeof items)[number])}`;
            // Concatenated text is a tree until somebody reads it, as the driver does.
            Buffer.from(statements.insertOrUpdate(tuples));
          }
        },
      },
      ...columns,
    ];
  },
};
