import type { Row } from '../../src/core/change.ts';
import type { NonNull } from '../../src/sinks/mysql/columns.ts';
import { Statements } from '../../src/sinks/mysql/statements.ts';
import { itemUpsert } from './item-table.ts';
import type { Micro, MicroCase } from './micro.ts';
import { batchOf, freshRows, SAMPLE_ROWS, sampleItems } from './samples.ts';

const ROWS_PER_STATEMENT = 1000;

export const sql: Micro = {
  name: 'sql',
  title: 'rows to SQL text (src/sinks/mysql/statements.ts, columns.ts)',
  cases() {
    const shape = itemUpsert();
    const statements = new Statements(shape, true);
    const payload = batchOf(sampleItems());
    let rows: readonly Row[] = [];
    const prepare = () => void (rows = freshRows(payload));
    const columns = shape.codecs.map((codec, at): MicroCase => {
      const run = () => {
        let length = 0;
        for (const row of rows) length += codec.literal(row[at] as NonNull).length;
        return length;
      };
      return { name: `literals of column ${shape.columns[at]}`, unit: 'change', count: SAMPLE_ROWS, prepare, run };
    });
    const run = () => {
      for (let start = 0; start < SAMPLE_ROWS; start += ROWS_PER_STATEMENT) {
        let tuples = statements.tuple(rows[start] as Row);
        for (let i = start + 1; i < start + ROWS_PER_STATEMENT; i++) tuples += `,${statements.tuple(rows[i] as Row)}`;
        // Concatenated text is a tree until somebody reads it, as the driver does.
        Buffer.from(statements.insertOrUpdate(tuples));
      }
    };
    return [{ name: `upserts of ${ROWS_PER_STATEMENT} rows, as bytes`, unit: 'change', count: SAMPLE_ROWS, prepare, run }, ...columns];
  },
};
