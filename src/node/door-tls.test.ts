import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createCertificate, type Certificate } from '../../test/support/certificate.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { createLogger } from '../admin/log.ts';
import type { ListenTlsConfig } from '../config/config.ts';
import { SyncError } from '../core/errors.ts';
import { DoorTls } from './door-tls.ts';

const DAY_MS = 86_400_000;
let folder: string;
let [one, other]: Certificate[] = [];
let clock: VirtualClock;
let lines: string[];
let counts: string[];
let tls: DoorTls;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncline-door-tls-'));
  [one, other] = [createCertificate(folder, 'one'), createCertificate(folder, 'other')];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  clock = new VirtualClock();
  [lines, counts] = [[], []];
  const write = (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg);
  const logger = createLogger({ level: 'info', format: 'json' }, { write });
  tls = new DoorTls(configOf(one as Certificate), { clock, logger, count: (code) => void counts.push(code) });
});

function configOf({ cert, key }: Certificate, lastsMs = 90 * DAY_MS): ListenTlsConfig {
  return {
    ...{ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), clientCertificates: 'off', minVersion: 'TLSv1.2' },
    ...{ files: { cert, key }, names: [], expiresAtMs: clock.wallMs() + lastsMs },
  };
}

test('what is refused is counted each time, and shares a line', () => {
  for (let i = 0; i < 5; i++) tls.door.refused('10.0.0.7', new SyncError('tls_failed', 'the TLS handshake failed: unknown ca'));
  tls.close();
  expect(counts).toEqual(Array(5).fill('tls_failed'));
  expect(lines).toEqual(Array(2).fill('connections are refused before they are those of a client: the TLS handshake failed: unknown ca'));
  expect(clock.timerCount).toBe(0);
});

test('nothing counts before it is taken: something else may fail in between', async () => {
  tls.prepare(configOf(other as Certificate, DAY_MS));
  await clock.advance(2 * DAY_MS);
  expect(lines).toEqual([]);
  tls.prepare(configOf(other as Certificate, DAY_MS))();
  expect(lines).toEqual([expect.stringContaining('the TLS certificate expires in 1 day')]);
  tls.close();
});

test('another certificate that has expired is not taken; the same one goes on', () => {
  expect(() => tls.prepare(configOf(other as Certificate, -1))).toThrow(
    /^listen\.tls\.cert: the certificate expired on .* so the one before it stays$/,
  );
  tls.prepare({ ...configOf(one as Certificate, -1), minVersion: 'TLSv1.3' })();
  tls.close();
});

test('what OpenSSL does not take is not taken', () => {
  const { key } = configOf(other as Certificate);
  expect(() => tls.prepare({ ...configOf(one as Certificate), key })).toThrow(SyncError);
  tls.close();
});
