import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { systemClock } from '../core/clock.ts';
import { AuditFile } from './audit-file.ts';
import { openAuditLog, type AuditLog } from './audit-log.ts';
import { follows, GENESIS, readLine, sealLine } from './chain.ts';
import { Gathering } from './gathering.ts';
import { type Verified, verifyAudit } from './verify.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-audit-'));
  path = join(folder, 'audit.log');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const troubles: (string | undefined)[] = [];
const options = (changes: object = {}) => ({
  path,
  maxBytes: 1024 * 1024,
  maxFiles: 4,
  clock: systemClock,
  troubled: (failure: string | undefined) => void troubles.push(failure),
  ...changes,
});

const lines = (file = path) => readFileSync(file, 'utf8').trimEnd().split('\n');
const events = (file = path) => lines(file).map((line) => (JSON.parse(line) as { event: string }).event);

/** Writes `count` lines in one life of the log. */
async function life(count: number, changes: object = {}): Promise<void> {
  const file = new AuditFile(options(changes));
  for (let i = 0; i < count; i++) file.append('tokens_changed', { producer: `producer-${i}`, note: 'x'.repeat(100) });
  await file.close();
}

describe('a chain of lines', () => {
  test('goes on over lives of the server and over files, and is whole', async () => {
    for (let i = 0; i < 3; i++) await life(200, { maxBytes: 40_000 });
    const verified = await verifyAudit(path);
    expect(verified).toMatchObject({ firstSeq: 1, includesHash: false });
    const { files, last } = verified as Verified;
    expect(files.length).toBeGreaterThan(3);
    // Each file begins with a line of its own.
    expect(last.seq).toBe(600 + files.length);
    for (const file of files) expect(events(join(folder, file))[0]).toBe('file');
    for (const file of files) expect(statSync(join(folder, file)).size).toBeLessThanOrEqual(40_000 + 16 * 1024);
    expect(await verifyAudit(path, JSON.parse(lines()[0] ?? '').hash)).toMatchObject({ includesHash: true });
  });

  test('only so many full files are kept, and what is left is whole', async () => {
    await life(2_000, { maxBytes: 40_000, maxFiles: 2 });
    expect(readdirSync(folder).filter((name) => name.startsWith('audit.log.0')).length).toBe(2);
    const verified = await verifyAudit(path);
    expect(verified).toHaveProperty('last');
    expect((verified as { firstSeq: number }).firstSeq).toBeGreaterThan(1);
  });

  test('only its owner may read it, and only one process may write it', async () => {
    const file = new AuditFile(options());
    file.append('started', {});
    expect(() => new AuditFile(options())).toThrow(/written by another process/);
    await file.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await life(1);
    expect(await verifyAudit(path)).toMatchObject({ last: { seq: 3 } });
  });
});

describe('a change shows', () => {
  beforeEach(async () => {
    await life(20);
    expect(await verifyAudit(path)).toMatchObject({ last: { seq: 21 } });
  });

  test.each<[string, (all: string[]) => string[], number]>([
    ['a line that was removed', (all) => all.toSpliced(7, 1), 8],
    ['a line that was changed', (all) => all.with(7, (all[7] as string).replace('producer-6', 'producer-9')), 8],
    ['a line that was added', (all) => all.toSpliced(7, 0, all[7] as string), 9],
    ['two lines that changed places', (all) => all.with(7, all[8] as string).with(8, all[7] as string), 8],
    [
      'a hash that was changed',
      (all) =>
        all.with(
          7,
          (all[7] as string).replace(/"hash":"./, (found) => (found.endsWith('0') ? '"hash":"1' : '"hash":"0')),
        ),
      8,
    ],
    ['a line that is none', (all) => all.with(7, 'nothing to see here'), 8],
    ['the first line that was removed', (all) => all.slice(1), 1],
    [
      'a beginning that names another hash',
      (all) => all.with(0, sealLine({ seq: 0, hash: 'f'.repeat(64) }, 0, 'file', { previous: 'f'.repeat(64) }).line.trim()),
      1,
    ],
  ])('%s', async (_, change, line) => {
    writeFileSync(path, `${change(lines()).join('\n')}\n`);
    expect(await verifyAudit(path)).toMatchObject({ file: 'audit.log', line });
  });

  test('a line that is just being written is none', async () => {
    appendFileSync(path, '{"seq":22,"time":"20');
    expect(await verifyAudit(path)).toMatchObject({ last: { seq: 21 } });
  });

  test('a file between others that was removed', async () => {
    await life(2_000, { maxBytes: 40_000, maxFiles: 100 });
    const full = readdirSync(folder).filter((name) => name.startsWith('audit.log.0'));
    unlinkSync(join(folder, full[3] as string));
    expect(await verifyAudit(path)).toMatchObject({ file: full[4], line: 1, reason: expect.stringContaining('does not go on') });
  });

  test('an end that was cut off does not by itself, but by a hash that was noted elsewhere', async () => {
    const { hash } = JSON.parse(lines().at(-1) ?? '') as { hash: string };
    expect(await verifyAudit(path, hash)).toMatchObject({ includesHash: true });
    writeFileSync(path, `${lines().slice(0, -1).join('\n')}\n`);
    expect(await verifyAudit(path, hash)).toMatchObject({ last: { seq: 20 }, includesHash: false });
  });

  test('an end that is no line keeps the log from being used', () => {
    appendFileSync(path, 'a line of somebody else\n');
    expect(() => new AuditFile(options())).toThrow(/does not end in a line of an audit log/);
  });
});

test('what a crash left of a line is cut off, and said', async () => {
  await life(3);
  truncateSync(path, statSync(path).size - 10);
  await life(1);
  expect(events()).toEqual(['file', 'tokens_changed', 'tokens_changed', 'torn', 'tokens_changed']);
  expect(await verifyAudit(path)).toMatchObject({ last: { seq: 5 } });
});

test('a crash before the first line was whole, or between two files, is no matter', async () => {
  writeFileSync(path, '{"seq":1,"time":"20');
  await life(1);
  expect(events()).toEqual(['file', 'torn', 'tokens_changed']);
  renameSync(path, `${path}.000000000000003`);
  await life(1);
  expect(await verifyAudit(path)).toMatchObject({ firstSeq: 1, last: { seq: 5 } });
});

test('a file that is moved away while it is written is begun anew, and verification tells from where', async () => {
  const file = new AuditFile(options());
  file.append('started', {});
  await expect.poll(() => file.link.seq).toBe(2);
  renameSync(path, join(folder, 'away'));
  file.append('drain', {});
  await file.close();
  expect(events()).toEqual(['file', 'drain']);
  expect(await verifyAudit(path)).toMatchObject({ firstSeq: 3, last: { seq: 4 } });
});

describe('while nothing can be written', () => {
  test('the server goes on, says so once, keeps what comes up to a bound, and counts the rest', async () => {
    troubles.length = 0;
    const file = new AuditFile(options({ maxBytes: 16 * 1024 * 1024 }));
    file.append('started', {});
    await expect.poll(() => file.link.seq).toBe(2);
    // A folder in the place of the file: even root cannot write it.
    renameSync(path, join(folder, 'away'));
    mkdirSync(path);
    for (let i = 0; i < 10_010; i++) file.append('drain', {});
    await expect.poll(() => file.failure).toMatch(/EISDIR/);
    expect(file.lost).toBe(10);
    expect(troubles).toEqual([expect.stringMatching(/EISDIR/)]);
    rmSync(path, { recursive: true });
    renameSync(join(folder, 'away'), path);
    await expect.poll(() => file.link.seq, { timeout: 10_000 }).toBeGreaterThan(10_000);
    expect(troubles).toEqual([expect.stringMatching(/EISDIR/), undefined]);
    await file.close();
    expect(events().filter((event) => event === 'drain').length).toBe(10_000);
    expect(lines().find((line) => line.includes('"event":"lost"'))).toContain('"count":10');
    expect(await verifyAudit(path)).toMatchObject({ firstSeq: 1 });
  });

  test('it ends all the same', async () => {
    const file = new AuditFile(options());
    mkdirSync(path);
    file.append('started', {});
    await file.close();
    expect(file.link).toEqual(GENESIS);
  });
});

describe('a flood', () => {
  test('takes two lines for each address and second, and those of many addresses share one', async () => {
    const clock = new VirtualClock();
    const written: [string, object][] = [];
    const gathering = new Gathering(clock, (event, fields) => written.push([event, fields]));
    for (let i = 0; i < 1_000; i++) gathering.add('refused', { address: '10.0.0.1', code: 'auth_failed' }, 1);
    expect(written).toEqual([['refused', { address: '10.0.0.1', code: 'auth_failed' }]]);
    await clock.advance(1_000);
    expect(written.slice(1)).toEqual([['refused', { address: '10.0.0.1', code: 'auth_failed', count: 999 }]]);
    await clock.advance(1_000);
    expect(clock.timerCount).toBe(0);

    written.length = 0;
    for (let i = 0; i < 100_000; i++)
      gathering.add('refused', { address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, code: 'auth_failed' }, 1);
    expect(written.length).toBe(64);
    const admitted = { address: '10.0.0.9', producer: 'shop', token: 'abc', stream: 'f'.repeat(32) };
    gathering.add('admitted', admitted, 1);
    expect(written.pop()).toEqual(['admitted', admitted]);
    await clock.advance(1_000);
    expect(written.slice(64)).toEqual([['refused', { address: 'others', code: 'auth_failed', count: 99_936 }]]);
    gathering.add('refused', { address: '10.0.0.1' }, 3);
    gathering.flush();
    expect(written.at(-1)).toEqual(['refused', { address: '10.0.0.1', count: 3 }]);
    expect(clock.timerCount).toBe(0);
  });

  test('of wrong tokens for a minute leaves a file of a few kilobytes', async () => {
    const clock = new VirtualClock();
    const log: AuditLog = openAuditLog(options({ clock }));
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 1_000; i++) log.record('refused', { address: '10.0.0.1', code: 'auth_failed' });
      await clock.advance(1_000);
    }
    await log.close();
    expect(statSync(path).size).toBeLessThan(32 * 1024);
    const counts = lines().map((line) => JSON.parse(line) as { event: string; count?: number });
    expect(counts.reduce((sum, { event, count = 1 }) => sum + (event === 'refused' ? count : 0), 0)).toBe(60_000);
  });
});

test('whatever names hold, an event is one line of JSON of bounded length that reads back', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.constantFrom('\n', '\r\n', '\u2028', '\u001b[2J', '\ud800', '"}\n{"seq":9', '","hash":"', '\u202e', '\0', 'x'.repeat(1_000_000)),
  );
  fc.assert(
    fc.property(hostile, hostile, fc.array(hostile, { maxLength: 40 }), (address, producer, changed) => {
      const { line, link } = sealLine(GENESIS, 0, 'refused', { address, producer, changed });
      expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u);
      expect(line.endsWith('\n')).toBe(true);
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(16 * 1024);
      const read = readLine(line.trimEnd());
      expect(read && follows(read, GENESIS)).toBe(true);
      expect(read?.link).toEqual(link);
      expect(JSON.parse(line)).toMatchObject({ seq: 1, event: 'refused', hash: link.hash });
    }),
  );
});
