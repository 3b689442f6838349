import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Logger } from '../admin/log.ts';
import type { Config } from '../config/config.ts';
import { changeTokens, type TokenEntry } from '../config/tokens-file.ts';
import { eventually } from '../../test/support/eventually.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { systemRandom } from '../core/random.ts';
import { hashToken } from '../ingest/producers.ts';
import { Gatekeeper } from './gatekeeper.ts';

const CONFIG = { producers: [], ingest: { addresses: [] as string[] } } as unknown as Config;

let folder: string;
let path: string;
let clock: VirtualClock;
let logged: string[];
let gatekeeper: Gatekeeper;
/** How often tokens changed. */
let changes: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-gatekeeper-'));
  path = join(folder, 'tokens.jsonl');
  clock = new VirtualClock();
  logged = [];
  changes = 0;
});
afterEach(() => {
  gatekeeper.close();
  expect(clock.timerCount).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

const line = (_: object, message: string) => void logged.push(message);
const logger = { info: line, warn: line, error: line } as unknown as Logger;

function open(): void {
  gatekeeper = new Gatekeeper({ tokensFile: path, clock, random: systemRandom, logger });
  gatekeeper.authenticator(CONFIG);
  gatekeeper.watch(() => {
    changes++;
    gatekeeper.authenticator(CONFIG);
  });
}

const entryOf = (token: string, more: Partial<TokenEntry> = {}): TokenEntry => ({
  id: token.split('.')[0]!,
  producer: 'shop',
  sha256: hashToken(token).slice('sha256:'.length),
  created: '2023-01-01T00:00:00.000Z',
  ...more,
});
const keep = (...entries: TokenEntry[]) => changeTokens(path, () => entries);
const whoIs = (token: string) => gatekeeper.authenticator(CONFIG).producerOf(hashToken(token), '10.0.0.1');

/** Lets the file be looked at once; it is read by the system, whose time is not ours. */
async function look(expected: () => void): Promise<void> {
  await clock.advance(1_000);
  await eventually(expected);
}

describe('the token file', () => {
  test('is read at the start, and again when it changed', async () => {
    keep(entryOf('shop-1.a'));
    open();
    expect([whoIs('shop-1.a'), whoIs('shop-2.b')]).toEqual(['shop', undefined]);
    keep(entryOf('shop-1.a'), entryOf('shop-2.b', { producer: 'erp' }));
    await look(() => expect(changes).toBe(1));
    expect([whoIs('shop-1.a'), whoIs('shop-2.b')]).toEqual(['shop', 'erp']);
    keep();
    await eventually(async () => {
      await clock.advance(1_000);
      expect(changes).toBe(2);
    });
    expect([whoIs('shop-1.a'), whoIs('shop-2.b')]).toEqual([undefined, undefined]);
  });

  test('may come later', async () => {
    open();
    expect(logged).toEqual(['the token file holds no tokens; syncline token create makes one']);
    await clock.advance(3_000);
    keep(entryOf('shop-1.a'));
    await eventually(async () => {
      await clock.advance(1_000);
      expect(whoIs('shop-1.a')).toBe('shop');
    });
  });

  test('that cannot be used at the start is an error, and later changes nothing until it can be used again', async () => {
    writeFileSync(path, 'shop-1.a\n');
    expect(open).toThrow('line 1: is not JSON');
    writeFileSync(path, `${JSON.stringify(entryOf('shop-1.a'))}\n`);
    open();
    logged = [];
    appendFileSync(path, 'x\n');
    await look(() => expect(logged).toEqual(['the token file cannot be used; tokens are as they were before']));
    rmSync(path);
    await eventually(async () => {
      await clock.advance(1_000);
      expect(logged).toHaveLength(2);
    });
    expect(whoIs('shop-1.a')).toBe('shop');
    expect(changes).toBe(0);
    keep(entryOf('shop-2.b'));
    await eventually(async () => {
      await clock.advance(1_000);
      expect(whoIs('shop-2.b')).toBe('shop');
    });
    expect(logged).toContain('the token file can be used again');
    expect(changes).toBe(1);
  });

  test('holds tokens that expire by themselves', async () => {
    keep(entryOf('shop-1.a', { expires: new Date(clock.wallMs() + 5_000).toISOString() }), entryOf('shop-2.b'));
    open();
    for (let second = 0; second < 4; second++) await clock.advance(1_000);
    expect(whoIs('shop-1.a')).toBe('shop');
    await eventually(async () => {
      await clock.advance(1_000);
      expect(changes).toBe(1);
    });
    expect([whoIs('shop-1.a'), whoIs('shop-2.b')]).toEqual([undefined, 'shop']);
  });
});

test('a single token of the configuration does not keep those of the file out', () => {
  keep(entryOf('shop-1.a'));
  open();
  const producers = [{ name: 'default', tokens: [hashToken('swordfish')], certificates: [], addresses: [] }];
  const both = { ...CONFIG, token: 'swordfish', producers };
  const authenticator = gatekeeper.authenticator(both);
  expect(authenticator.producerOf(hashToken('swordfish'), '10.0.0.1')).toBe('default');
  expect(authenticator.producerOf(hashToken('shop-1.a'), '10.0.0.1')).toBe('shop');
});

test('without a token file nothing is looked at, and whoever is not let in is reported', async () => {
  gatekeeper = new Gatekeeper({ tokensFile: undefined, clock, random: systemRandom, logger });
  gatekeeper.watch(() => changes++);
  expect(clock.timerCount).toBe(0);
  const producers = [{ name: 'shop', tokens: [hashToken('one')], certificates: [], addresses: [] }];
  const answer = gatekeeper.authenticator({ ...CONFIG, producers }).authenticate('two', '10.0.0.1');
  await clock.advance(500);
  expect(await answer).toBeUndefined();
  expect(logged).toEqual(['not let in: the token is unknown, expired or revoked']);
});
