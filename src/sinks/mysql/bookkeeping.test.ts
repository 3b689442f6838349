import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BOOKKEEPING } from './bookkeeping.ts';

test('the documentation shows the tables as they are created', () => {
  const page = readFileSync(new URL('../../../docs/sinks-mysql.md', import.meta.url), 'utf8');
  for (const definition of BOOKKEEPING.values()) expect(page).toContain(`${definition};`);
});
