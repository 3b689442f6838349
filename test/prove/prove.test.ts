import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { missingFor } from '../fault/fault-world.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/eventually.ts';
import { prove } from './command.ts';
import type { PartResult, ProofPart, Slice } from './part.ts';
import { readPublished } from './published.ts';
import { gitAvailable, ScratchClone } from './scratch-clone.ts';

const PAGE = `<!-- The figures: generated from docs/reliability.json by npm run docs; what is between the marks is written over. -->
<!-- End of the figures. -->
`;

let clone: ScratchClone;

beforeEach(() => {
  clone = new ScratchClone();
  clone.commit('docs/reliability.md', PAGE);
});
afterEach(() => clone.close());

/** A part that notes which slices it is asked for, and lets `run` decide what comes of them. */
function partOf(run: (slice: Slice) => PartResult, different: Partial<ProofPart> = {}): ProofPart & { readonly slices: string[] } {
  const slices: string[] = [];
  return {
    name: 'kills',
    title: 'it is killed',
    unit: 'kills',
    target: 6,
    inVerify: 0,
    sliceCount: 2,
    rerun: 'npm run drill',
    sources: ['test/fault'],
    slices,
    run(slice) {
      slices.push(`${slice.from}+${slice.count}`);
      return Promise.resolve(run(slice));
    },
    ...different,
  };
}

const allGood = ({ count }: Slice): PartResult => ({ done: count, violations: [], figures: { rows: count * 10 } });

async function run(parts: readonly ProofPart[], args: readonly string[] = [], signal = new AbortController().signal) {
  const lines: string[] = [];
  const code = await prove({ args, root: clone.root, parts, signal, print: (line) => lines.push(line) });
  return { code, output: lines.join('\n') };
}

const published = () => readPublished(join(clone.root, 'docs/reliability.json'));
const page = () => readFileSync(join(clone.root, 'docs/reliability.md'), 'utf8');

describe.skipIf(!gitAvailable())('npm run prove', () => {
  test('does the full set in slices, publishes the sums, and then there is nothing to do', async () => {
    const part = partOf(allGood);
    expect((await run([part])).code).toBe(0);
    expect(part.slices).toEqual(['1+2', '3+2', '5+2']);
    expect(published()).toMatchObject([{ part: 'kills', from: 1, count: 6, target: 6, figures: { rows: 60 }, violations: [] }]);
    expect(page()).toContain('| 6 of 6 kills | 0 |');
    expect((await run([part])).code).toBe(0);
    expect(part.slices.length).toBe(3);
  });

  test('adds up what is done in pieces, in a clone that has only what was published too', async () => {
    const part = partOf(allGood);
    await run([part], ['--count', '1']);
    await run([part], ['--count', '2']);
    rmSync(join(clone.root, '.prove'), { recursive: true });
    await run([part]);
    expect(part.slices).toEqual(['1+1', '2+2', '4+2', '6+1']);
    expect(published()).toMatchObject([{ from: 1, count: 6, figures: { rows: 60 } }]);
  });

  test('begins anew when the source has changed, and keeps the counts of before apart', async () => {
    const part = partOf(allGood);
    await run([part]);
    clone.commit('docs/words.md', 'words\n');
    await run([part]);
    expect(part.slices.length).toBe(3);
    clone.commit('src/a.ts', 'export const a = 2;\n');
    await run([part], ['--count', '2']);
    expect(part.slices.slice(3)).toEqual(['1+2']);
    expect(published().map(({ from, count }) => [from, count])).toEqual([
      [1, 6],
      [1, 2],
    ]);
    expect(page()).toContain('| 2 of 6 kills | 0 |');
    expect(page()).toMatch(/Earlier commits: 6 at `\w+`/);
  });

  test('ends with 1 when a promise was broken, says how to see it again, and goes on to count', async () => {
    const violation = { what: 'row 7 is lost', rerun: 'npm run drill -- --seed 3' };
    const part = partOf(({ from, count }) =>
      from === 3 ? { done: 1, violations: [violation], figures: {} } : allGood({ count } as Slice),
    );
    const first = await run([part]);
    expect(first.code).toBe(1);
    expect(first.output).toContain('BROKEN: row 7 is lost\n  npm run drill -- --seed 3');
    expect(part.slices).toEqual(['1+2', '3+2', '4+2', '6+1']);
    expect(published()).toMatchObject([{ from: 1, count: 6, violations: [violation] }]);
    expect(page()).toContain('| 6 of 6 kills | 1 |');
    // Nothing is done any more, and it stays broken until the source changes.
    expect((await run([part])).code).toBe(1);
    clone.commit('src/a.ts', 'mended\n');
    expect((await run([partOf(allGood)])).code).toBe(0);
    expect(page()).toMatch(/Earlier commits: 6 at `\w+` \(1 broken\)/);
  });

  test('ends with 1 when a part cannot be run, counts nothing of it, and goes on with the others', async () => {
    const broken = partOf(() => {
      throw new Error('no disk');
    });
    const other = partOf(allGood, { name: 'cuts' });
    const { code, output } = await run([broken, other]);
    expect(code).toBe(1);
    expect(output).toContain('no disk');
    expect(broken.slices.length).toBe(1);
    expect(published()).toMatchObject([{ part: 'cuts', count: 6 }]);
  });

  test('does not go on for ever with a part that does nothing', async () => {
    const part = partOf(() => ({ done: 0, violations: [], figures: {} }));
    expect((await run([part])).code).toBe(1);
    expect(part.slices).toEqual(['1+2']);
  });

  test('takes of several parts the one that has the least of its full set', async () => {
    const [small, large] = [partOf(allGood, { name: 'small', target: 4 }), partOf(allGood, { name: 'large', target: 12 })];
    const order: string[] = [];
    for (const part of [small, large]) {
      const { run, name } = part;
      Object.assign(part, { run: (slice: Slice) => (order.push(name), run(slice)) });
    }
    await run([small, large]);
    expect(order.join(' ')).toBe('small large large large small large large large');
  });

  test('begins no slice when its minutes are over', async () => {
    const part = partOf(allGood);
    await run([part], ['--minutes', '0.000001']);
    expect(part.slices.length).toBeLessThan(3);
  });

  test('counts of an interrupted slice what was finished, and ends with 130', async () => {
    const interrupted = new AbortController();
    const part = partOf(({ from, count }) => {
      if (from < 3) return allGood({ count } as Slice);
      interrupted.abort();
      return { done: 1, violations: [], figures: { rows: 10 } };
    });
    expect((await run([part], [], interrupted.signal)).code).toBe(130);
    expect(published()).toMatchObject([{ from: 1, count: 3, figures: { rows: 30 } }]);
  });

  test('takes what an interrupted part throws for nothing done', async () => {
    const interrupted = new AbortController();
    const part = partOf(() => {
      interrupted.abort();
      throw new Error('aborted');
    });
    const { code, output } = await run([part], [], interrupted.signal);
    expect(code).toBe(130);
    expect(output).not.toContain('say nothing');
  });

  test('refuses what is not committed; with --dirty it runs it and keeps nothing', async () => {
    clone.write('src/a.ts', 'export const a = 2;\n');
    const part = partOf(allGood);
    const refused = await run([part]);
    expect(refused.code).toBe(1);
    expect(refused.output).toContain('not committed');
    expect(refused.output).toContain('src/a.ts');
    expect(part.slices).toEqual([]);
    expect((await run([part], ['--dirty'])).code).toBe(0);
    expect(part.slices.length).toBe(3);
    expect(existsSync(join(clone.root, '.prove'))).toBe(false);
    expect(existsSync(join(clone.root, 'docs/reliability.json'))).toBe(false);
  });

  test('counts nothing of a slice during which the source was changed', async () => {
    const part = partOf((slice) => {
      clone.write('src/a.ts', 'export const a = 2;\n');
      return allGood(slice);
    });
    const { code, output } = await run([part]);
    expect(code).toBe(1);
    expect(output).toContain('the source was changed while it ran');
    expect(published()).toEqual([]);
  });

  test('skips a part that something is missing for, and says what', async () => {
    const ci = process.env['CI'];
    try {
      delete process.env['CI'];
      const parts = [partOf(allGood, { missing: () => 'redis-server must be installed' })];
      const skipped = await run(parts);
      expect(skipped).toMatchObject({ code: 0, output: expect.stringContaining('kills: skipped, redis-server must be installed') });
      process.env['CI'] = 'true';
      expect((await run(parts)).code).toBe(1);
    } finally {
      if (ci === undefined) delete process.env['CI'];
      else process.env['CI'] = ci;
    }
  });

  test.each([[['--part', 'no-such']], [['--count', '0']], [['--minutes', 'x']], [['--help']]])('explains itself for %j', async (args) => {
    const { code, output } = await run([partOf(allGood)], args);
    expect(code).toBe(2);
    expect(output).toContain('usage: npm run prove');
    expect(output).toContain('parts: kills');
  });

  test('lists how far each part is, whatever is missing or not committed', async () => {
    await run([partOf(allGood)], ['--count', '3']);
    clone.write('src/b.ts', 'new\n');
    const { code, output } = await run([partOf(allGood, { missing: () => 'a service' })], ['--list']);
    expect(code).toBe(0);
    expect(output).toMatch(/kills +3 +6 +0 +kills +it is killed/);
  });
});

describe.skipIf(!gitAvailable())('a process that is ended', () => {
  const ENTRY = new URL('stalling-entry.ts', import.meta.url).pathname;

  async function stall(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [ENTRY, clone.root], { stdio: ['ignore', 'pipe', 'inherit'] });
    endWithUs(child);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += String(chunk)));
    await eventually(() => expect(output).toContain('stalled'));
    return child;
  }

  test.each(['SIGINT', 'SIGTERM'] as const)('by %s publishes what it has finished', async (signal) => {
    const child = await stall();
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([130, null]);
    expect(published()).toMatchObject([{ part: 'stalling', from: 1, count: 3 }]);
  });

  test('by SIGKILL in the middle of a line goes on with the next slice', async () => {
    const child = await stall();
    child.kill('SIGKILL');
    await once(child, 'exit');
    appendFileSync(join(clone.root, '.prove/ledger.ndjson'), '{"part":"stalling","source"');
    const part = partOf(allGood, { name: 'stalling', sources: [] });
    expect((await run([part])).code).toBe(0);
    expect(part.slices).toEqual(['3+2', '5+2']);
    expect(published()).toMatchObject([{ from: 1, count: 6 }]);
  });

  test.skipIf(missingFor('services') !== undefined)(
    'leaves neither processes nor files of a drill behind',
    { timeout: 60_000 },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'syncline-prove-'));
      try {
        const args = [new URL('prove.ts', import.meta.url).pathname, '--dirty', '--part', 'server-kill', '--count', '50'];
        const child = spawn(process.execPath, args, { env: { ...process.env, TMPDIR: folder }, stdio: 'ignore' });
        endWithUs(child);
        await eventually(() => expect(commandsWith(folder)).toMatch(/mariadbd[^]*producer/), 30_000);
        child.kill('SIGTERM');
        expect(await once(child, 'exit')).toEqual([130, null]);
        await eventually(() => expect(commandsWith(folder)).toBe(''));
        expect(readdirSync(folder)).toEqual([]);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

/** Command lines of the processes that work in a folder. */
function commandsWith(folder: string): string {
  const lines = readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const read = (what: string) => readFileSync(`/proc/${pid}/${what}`, 'utf8');
      return read('cmdline').includes(folder) || read('environ').includes(folder) ? [read('cmdline').replaceAll('\0', ' ')] : [];
    } catch {
      // Processes of others, and such as have ended.
      return [];
    }
  });
  return lines.filter((line) => line !== '' && !line.includes('test/prove/prove.ts')).join('\n');
}
