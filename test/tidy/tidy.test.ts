import { existsSync } from 'node:fs';
import { basename, posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/core/errors.ts';
import { files, importsOf, read, ROOT } from '../support/source-files.ts';

const MAX_LINES = 450;

const sources = files('src/**/*.ts');
const pages = files('*.md', 'docs/**/*.md');
const scripts = files('src/**/*.lua', 'src/**/*.sql');

/** Lines that match, as `file: text`. */
function grep(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split('\n')
      .filter((line) => pattern.test(line))
      .map((line) => `${path}: ${line.trim().slice(0, 120)}`),
  );
}

describe('sources', () => {
  test('there are some', () => {
    expect(sources.length).toBeGreaterThan(50);
  });

  test(`no file is longer than ${MAX_LINES} lines`, () => {
    expect(sources.map((path) => [path, read(path).split('\n').length] as const).filter(([, lines]) => lines > MAX_LINES)).toEqual([]);
  });

  test('relative imports end in .ts', () => {
    const tests = files('test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.ts', 'examples/**/*.ts');
    const wrong = [...sources, ...tests].flatMap((path) =>
      importsOf(path)
        .filter((to) => to.startsWith('.') && !/\.(ts|json)$/.test(to))
        .map((to) => `${path}: ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  test('exports are named, one by one', () => {
    expect(grep(sources, /^\s*export (\*|default\b)/)).toEqual([]);
  });

  test('tests are where the runner looks', () => {
    const tests = files('**/*.{test,spec}.{ts,js,mjs,tsx}', '**/*-test.ts', '**/__tests__/**');
    expect(tests.filter((path) => !/^(src|test|bench)\/.*\.test\.ts$/.test(path))).toEqual([]);
  });
});

describe('nothing ages or leaks', () => {
  const texts = [...sources, ...pages, ...scripts, ...files('test/**/*.ts', 'bench/**/*.ts', 'scripts/*', 'examples/**/*.*')].filter(
    (path) => path !== 'test/tidy/tidy.test.ts',
  );

  test.each<[string, RegExp]>([
    ['paths of one machine', /(^|[^\w.])\/(work|root|home\/\w+|Users)\//],
    ['hosts of package registries', /registry\.[\w-]+\.\w+|npmmirror|artifactory|verdaccio/i],
    ['line numbers of files', /\b[\w-]+\.(ts|js|lua|md|sql):\d+/],
    // Not the anchors of numbered headings, as in `(#4-the-chain)`.
    ['numbers of issues', /(^|[\s(])(issue )?#\d+\b(?!-[a-z])|\bissues? \d+\b/i],
    ['unfinished work', /\b(TODO|FIXME|XXX|HACK)\b/],
  ])('no %s', (_, pattern) => {
    expect(grep(texts, pattern)).toEqual([]);
  });
});

describe('error codes', () => {
  const code = sources
    .filter((path) => !path.endsWith('.test.ts') && path !== 'src/core/errors.ts')
    .map(read)
    .join('\n');
  const page = existsSync(`${ROOT}docs/errors.md`) ? read('docs/errors.md') : '';

  test('every one is used', () => {
    expect(Object.keys(ERRORS).filter((name) => !code.includes(`'${name}'`))).toEqual([]);
  });

  test('every one is documented', () => {
    expect(Object.keys(ERRORS).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('documentation', () => {
  const links = pages.flatMap((page) =>
    [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => ({ page, target: match[1] as string }))
      .filter(({ target }) => !/^\w+:/.test(target)),
  );

  test('the pages that a reader expects are there', () => {
    const expected = [
      'README.md',
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'LICENSE',
      'docs/architecture.md',
      'docs/protocol.md',
      'docs/configuration.md',
      'docs/errors.md',
      'docs/client.md',
      'docs/sinks.md',
    ];
    expect(expected.filter((path) => !existsSync(`${ROOT}${path}`))).toEqual([]);
  });

  test('links point to files that exist', () => {
    const broken = links.filter(({ page, target }) => !existsSync(`${ROOT}${fileOf(page, target)}`));
    expect(broken.map(({ page, target }) => `${page}: ${target}`)).toEqual([]);
  });

  test('links into a page point to a heading', () => {
    const broken = links.filter(({ page, target }) => {
      const [, anchor] = target.split('#');
      const file = fileOf(page, target);
      return anchor !== undefined && file.endsWith('.md') && existsSync(`${ROOT}${file}`) && !anchorsOf(read(file)).has(anchor);
    });
    expect(broken.map(({ page, target }) => `${page}: ${target}`)).toEqual([]);
  });

  test('decisions are numbered one after the other, in the names of their files as in their titles', () => {
    const decisions = files('docs/decisions/*.md');
    expect(decisions.map((path) => Number(basename(path).slice(0, 4)))).toEqual(decisions.map((_, index) => index + 1));
    expect(decisions.map((path) => /^# (\d+)\. /.exec(read(path))?.[1])).toEqual(decisions.map((_, index) => String(index + 1)));
  });

  test('files that pages name exist', () => {
    const everything = files('**/*.{ts,js,lua,md,json,sql,sh,cfg}');
    const names = new Set(everything.map((path) => basename(path)));
    const missing = pages
      .filter((page) => page !== 'CHANGELOG.md')
      .flatMap((page) =>
        [...read(page).matchAll(/`([\w.-]+(?:\/[\w.-]+)*\.(?:ts|lua|sql))`/g)].map((match) => ({ page, name: match[1] as string })),
      )
      .filter(({ name }) => (name.includes('/') ? !everything.includes(name) && !everything.includes(`src/${name}`) : !names.has(name)));
    expect(missing.map(({ page, name }) => `${page}: ${name}`)).toEqual([]);
  });

  test('functions and classes that the architecture names exist', () => {
    const page = existsSync(`${ROOT}docs/architecture.md`) ? read('docs/architecture.md') : '';
    const code = sources.map(read).join('\n');
    const named = [...page.matchAll(/`(?:\w+\.)?(\w+)\(\)`/g)].map((match) => match[1] as string);
    expect(named.filter((name) => !new RegExp(`\\b${name}\\s*[(<=:]`).test(code))).toEqual([]);
  });
});

function fileOf(page: string, target: string): string {
  const [path] = target.split('#');
  return path === undefined || path === '' ? page : posix.normalize(posix.join(posix.dirname(page), path));
}

function withoutCode(markdown: string): string {
  return markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '');
}

/** Anchors as GitHub makes them from headings. */
function anchorsOf(markdown: string): Set<string> {
  const headings = [...markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').matchAll(/^#{1,6} +(.+?)\s*#*$/gm)].map(
    (match) => match[1] as string,
  );
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}
