import { describe, expect, test } from 'vitest';
import { createLogger, type LogOptions } from './log.ts';

function capture(format: LogOptions['format'], level: LogOptions['level'] = 'info', isTTY = false) {
  const lines: string[] = [];
  const log = createLogger({ level, format }, { isTTY, write: (line) => lines.push(line) });
  return { log, lines };
}

/** What producers, databases and passers-by may put into names and messages. */
const HOSTILE = 'a\nb\r\u2028c\u2029\u001b[31mred\u0085\u009b2J\u007f\0\u202egpj.exe\u{e0041}';
const STEERING = /[\p{Cc}\p{Cf}\u2028\u2029]/u;

describe.each(['json', 'pretty'] as const)('%s', (format) => {
  test('is one line per call', () => {
    const { log, lines } = capture(format);
    log.info({ partition: 3, state: 'applying' }, 'partition changed its state');
    log.warn({}, 'second');
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/^[^\n]+\n$/);
  });

  test('values cannot forge lines or steer a terminal', () => {
    const { log, lines } = capture(format);
    log.info({ name: HOSTILE, [HOSTILE]: 1, nested: { [HOSTILE]: HOSTILE } }, HOSTILE);
    log.child({ stream: HOSTILE }).info({}, 'from a child');
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line.slice(0, -1)).not.toMatch(STEERING);
  });

  test.each([
    'redis://user:hunter2@localhost:6379/0',
    'mysql://root:hunter2@db/shop?ssl=1',
    'rediss://:hunter2@localhost',
    'mysql://root:p@ss/hunter2@db/shop',
    'https://example.org/?a=1&password=hunter2&b=2',
    'Authorization: Bearer hunter2',
    'mysql://root:a"hunter2@db/shop',
    'https://example.org/?token="hunter2"',
    'Authorization: Bearer "hunter2\\',
  ])('blanks the secret in %s', (text) => {
    const { log, lines } = capture(format);
    log.info({ url: text }, `cannot connect to ${text} now`);
    log.error({ err: new Error(`connect ${text}`, { cause: new Error(text) }) }, 'failed');
    expect(lines).toHaveLength(2);
    expect(lines.join('')).not.toContain('hunter2');
    expect(lines.join('')).toContain('***');
    if (format === 'json') for (const line of lines) expect(JSON.parse(line)).toBeTypeOf('object');
  });

  test('blanks fields that are named like secrets', () => {
    const { log, lines } = capture(format);
    log.info({ token: 'hunter2', options: { password: 'hunter2', host: 'db' } }, 'connecting');
    expect(lines.join('')).not.toContain('hunter2');
    expect(lines.join('')).toContain('db');
  });

  test('of an error shows code and message, and nothing that a driver attached', () => {
    const { log, lines } = capture(format);
    log.error(
      { err: Object.assign(new Error('lock wait'), { code: 'ER_LOCK', sql: 'INSERT hunter2', command: { args: ['hunter2'] } }) },
      'failed',
    );
    expect(lines.join('')).toContain('lock wait');
    expect(lines.join('')).not.toContain('hunter2');
  });

  test('a line has a bound', () => {
    const { log, lines } = capture(format);
    log.info({ name: 'x'.repeat(1_000_000) }, 'large');
    expect(lines[0]?.length).toBeLessThan(20_000);
    expect(lines[0]).toContain('large');
  });

  test('a password is blanked in a long line too, also where it is cut in two', () => {
    for (let length = 3_990; length < 4_090; length++) {
      const { log, lines } = capture(format);
      log.info({ name: `${'x'.repeat(length)} mysql://root:hunter2@db/shop ${'x'.repeat(10_000)}` }, 'connecting');
      expect(lines.join('')).not.toContain('hu');
    }
  });

  test('leaves out what is below the level', () => {
    const { log, lines } = capture(format, 'warn');
    log.info({}, 'no');
    log.debug({}, 'no');
    log.warn({}, 'yes');
    expect(lines).toHaveLength(1);
  });
});

test('json lines parse, with level, time and message', () => {
  const { log, lines } = capture('json');
  log.warn({ name: HOSTILE }, 'look');
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    name: HOSTILE,
    msg: 'look',
  });
});

test('pretty lines are for people', () => {
  const { log, lines } = capture('pretty');
  log.info({ partition: 3, state: 'waiting for lease', tcp: '127.0.0.1:9501', list: [1, 2] }, 'partition changed its state');
  expect(lines[0]).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} INFO {2}partition changed its state partition=3 state="waiting for lease" tcp=127\.0\.0\.1:9501 list=\[1,2\]\n$/,
  );
});

test('a field cannot pass for another in pretty lines', () => {
  const { log, lines } = capture('pretty');
  log.info({ name: 'x level=error' }, 'seen');
  expect(lines[0]).toContain('name="x level=error"');
});

test('auto is pretty with colours on a terminal and json elsewhere', () => {
  const terminal = capture('auto', 'info', true);
  terminal.log.error({}, 'here');
  expect(terminal.lines[0]).toContain('\u001b[31mERROR\u001b[0m');
  const pipe = capture('auto');
  pipe.log.error({}, 'here');
  expect(JSON.parse(pipe.lines[0] ?? '')).toMatchObject({ level: 'error' });
});

test('silent writes nothing', () => {
  const { log, lines } = capture('json', 'silent');
  log.error({}, 'no');
  expect(lines).toEqual([]);
});
