import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { generatedDocs } from '../../scripts/generate-docs.ts';

describe('pages that come from the code are up to date: npm run docs', () => {
  for (const [path, text] of generatedDocs()) {
    test(path, () => {
      expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(text);
    });
  }
});
