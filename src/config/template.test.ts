import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { tokenDigest } from './resolve.ts';
import { optionEntries } from './catalogue.ts';
import { optionsSchema } from './options.ts';
import { configTemplate } from './template.ts';

test('the file that init writes sets nothing', () => {
  expect(parse(configTemplate())).toBe(null);
});

test('with every line uncommented it sets every option, to values that are allowed', () => {
  const uncommented = configTemplate()
    .replaceAll(/^#(?! \S)/gm, '')
    .replace('sha256:paste-the-64-hex-digits-here', tokenDigest('x'));
  const content: unknown = parse(uncommented);
  expect(optionsSchema.safeParse(content).error?.issues).toBeUndefined();
  for (const { path } of optionEntries()) {
    let node = content;
    for (const part of path) node = (node as Record<string, unknown>)[part === '[]' ? 0 : part === '<name>' ? 'order_items' : part];
    expect(node, path.join('.')).not.toBeUndefined();
  }
});

test('where it shows a default it is the one that holds', () => {
  const uncommented = configTemplate().replaceAll(/^#(?! \S)/gm, '');
  const shown = parse(uncommented) as { ingest: unknown; apply: unknown; retention: unknown; log: unknown };
  const defaults = optionsSchema.parse({});
  const { ingest, apply, retention, log } = optionsSchema.parse({
    ingest: shown.ingest,
    apply: shown.apply,
    retention: shown.retention,
    log: shown.log,
  });
  // Beside the defaults there are examples of options that have none.
  expect({ ingest, apply, retention, log }).toMatchObject({
    ingest: defaults.ingest,
    apply: defaults.apply,
    retention: defaults.retention,
    log: defaults.log,
  });
});
