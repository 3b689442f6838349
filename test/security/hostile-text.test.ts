import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { createLogger } from '../../src/admin/log.ts';
import { readStatus } from '../../src/admin/status.ts';
import { describeStatus } from '../../src/cli/status.ts';
import { printable } from '../../src/cli/text.ts';
import { connect } from '../../src/client/client.ts';
import { runSyncline } from '../support/cli-process.ts';
import { eventually } from '../support/eventually.ts';
import { sampleCluster, samplePartition, sampleState } from '../support/sample-state.ts';
import { ServerProcess } from '../support/server-process.ts';

/** What moves a cursor, changes colours, turns the direction of text, hides, or ends a line. */
const STEERING = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u;
const MAX_LINE = 24 * 1024;

/** Names and messages as others may send them. */
const short = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), {
  weight: 4,
  arbitrary: fc
    .array(
      fc.constantFrom(
        '\n',
        '\r',
        '\u2028',
        '\u2029',
        '\u0085',
        '\u001b[2J',
        '\u009b31m',
        '\u202e',
        '\u{e0041}',
        '\ud800',
        '\udfff',
        '\0',
        '"',
        '\\',
        '","level":"error',
        // What is taken for the beginning of a secret.
        '?token=',
        '&pass=',
        'Bearer ',
        'redis://u:',
        '@',
        'a',
      ),
    )
    .map((parts) => parts.join('')),
});

const hostile = fc.oneof(
  { weight: 20, arbitrary: short },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('\n', '\u001b', '"', '\\', '\ud800', 'é', '\u{1f600}', 'x')
      .map((part) => part.repeat(1_000_000 / part.length)),
  },
);

describe('whatever the texts of others hold,', () => {
  const fields = fc.record({ agent: hostile, table: hostile, address: hostile, code: hostile });

  test('a call of the log is one line of JSON, of bounded length, that says what it is', () => {
    fc.assert(
      fc.property(fields, hostile, hostile, (values, name, message) => {
        const lines: string[] = [];
        const log = createLogger({ level: 'info', format: 'json' }, { write: (line) => lines.push(line) });
        log.warn({ ...values, [name]: name, nested: { [name]: values.agent }, err: new Error(message) }, 'a constant text');
        expect(lines.length).toBe(1);
        const [line = ''] = lines;
        expect(line.endsWith('\n')).toBe(true);
        expect(line.slice(0, -1)).not.toMatch(STEERING);
        expect(line.length).toBeLessThanOrEqual(MAX_LINE);
        const { level, msg } = JSON.parse(line) as Record<string, unknown>;
        // Of two fields with one name a reader may take either; ours come where both readers look.
        if (!['level', 'msg', 'time'].includes(name)) expect({ level, msg }).toEqual({ level: 'warn', msg: 'a constant text' });
      }),
      { numRuns: 60 },
    );
  });

  test('a line for people is one line, and the lines of an error are set off from it', () => {
    fc.assert(
      fc.property(fields, hostile, (values, message) => {
        const lines: string[] = [];
        const log = createLogger({ level: 'info', format: 'pretty' }, { write: (line) => lines.push(line) });
        log.warn(values, message);
        log.error({ ...values, err: new Error(message) }, 'failed');
        expect(lines.length).toBe(2);
        const [first, ...more] = lines.join('').split('\n').slice(0, -1);
        for (const line of [first ?? '', ...more]) expect(line).not.toMatch(STEERING);
        for (const line of more) expect(line).toMatch(/^( {4}|\d\d:\d\d:\d\d\.\d{3} ERROR failed )/);
        expect(lines.join('').length).toBeLessThanOrEqual(4 * MAX_LINE);
      }),
      { numRuns: 60 },
    );
  });

  test('it stays in its line of the status', async () => {
    const page = async (text: string) =>
      describeStatus(
        await readStatus({
          ...sampleState(),
          queue: () => ({ kind: text, held: text, failure: text }),
          sinks: () => [{ name: text, kind: text, guarantee: 'exactly once', failure: text }],
          sessions: () => ({ open: 1, producers: { [text]: 1 }, addresses: { [text]: 1 } }),
          partitions: () => [samplePartition({ state: 'retrying', detail: text, batches: 1 })],
          cluster: () => sampleCluster({ leader: text, members: [{ name: text, state: text, version: text, admin: text }] }),
          config: () => ({ loadedAtMs: 0, waiting: [text], failure: text }),
          audit: () => ({ last: { seq: 1, hash: text }, lost: 1, failure: text }),
        }),
      );
    const expected = (await page('x')).split('\n').length;
    await fc.assert(
      fc.asyncProperty(short, async (text) => {
        const lines = (await page(text)).split('\n');
        expect(lines.length).toBe(expected);
        for (const line of lines) expect(line).not.toMatch(STEERING);
      }),
      { numRuns: 60 },
    );
  });

  test('a terminal sees it, and does nothing', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(printable(text)).not.toMatch(STEERING);
      }),
      { numRuns: 60 },
    );
  });
});

const servers: ServerProcess[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

test('a line that is made to be searched for long is not', () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', format: 'json' }, { write: (line) => lines.push(line) });
  // Each is the beginning of a URL with a password, and none ends in one: a search from each to the end would take minutes.
  log.info({ name: 'a://b:'.repeat(200_000) }, 'seen');
  expect(lines.join('')).toContain('"msg":"seen"');
});

test('nor does it from a client into log, status and dead letters of a running server', async () => {
  const evil = 'a"\n{"level":"error","msg":"forged"}\r\u2028\u001b[2J\u202e\u{e0041}';
  const server = await ServerProcess.create();
  servers.push(server);
  await server.start();
  const client = await connect({ url: server.url, agent: evil });
  for (const table of [evil, 'item']) await client.table(table, { key: [evil] }).update({ [evil]: evil, name: evil });
  await client.flush();
  await eventually(() => expect(server.output).toContain('dead letters'));
  const env = { SYNCLINE_DATA: server.data, SYNCLINE_ADMIN_PORT: String(server.adminPort) };
  const texts = [server.output];
  for (const args of [
    ['status'],
    ['dead-letters', 'list'],
    ['dead-letters', 'list', '--json'],
    ['dead-letters', 'show', '1'],
    ['dead-letters', 'retry', '1'],
  ]) {
    const { out, err } = await runSyncline(args, { env, cwd: server.data });
    texts.push(out, err);
  }
  await client.close();
  for (const text of texts) for (const line of text.split('\n')) expect(line).not.toMatch(STEERING);
  expect(texts.join('')).toContain('forged');
  for (const line of server.output.trimEnd().split('\n')) expect(JSON.parse(line)).not.toMatchObject({ msg: 'forged' });
});
