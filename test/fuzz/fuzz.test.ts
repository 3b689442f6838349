import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { missingFor } from '../fault/fault-world.ts';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { patchedEnv, type SourcePatch } from '../support/source-patches.ts';
import { FRAMES_IN_VERIFY, type FuzzReport, SOCKETS_IN_VERIFY } from './fuzz-report.ts';

const RUN = fileURLToPath(new URL('run.ts', import.meta.url));

/** Mistakes in the product that fuzzing has to find. */
const PLANTED: readonly SourcePatch[] = [
  {
    name: 'the checksum of frames is not compared',
    file: 'src/protocol/frame.ts',
    find: 'if (computed !== readU32(bytes, 20)) {',
    replace: 'if (false) {',
  },
  {
    name: 'values nest deeper than the protocol allows',
    file: 'src/protocol/limits.ts',
    find: 'export const MAX_DEPTH = 16;',
    replace: 'export const MAX_DEPTH = 17;',
  },
  {
    name: 'a float that is no number is let through',
    file: 'src/protocol/value-scan.ts',
    find: 'if ((this.#u16(pos + 1) & 0x7ff0) === 0x7ff0) return',
    replace: 'if (false) return',
  },
  {
    name: 'rules are asked for another operation than the one that is applied',
    file: 'src/protocol/scan.ts',
    find: 'const name = OPS[op]!;',
    replace: 'const name = OPS[0]!;',
  },
  {
    name: 'a frame with another predecessor is stored',
    file: 'src/core/stream.ts',
    find: "return prev === stored.crc ? 'append' : 'mismatch';",
    replace: "return prev === stored.crc ? 'append' : 'append';",
  },
  {
    name: 'a client that breaks the protocol is not told why',
    file: 'src/ingest/session.ts',
    find: 'this.#outbox.send(errorFrame(error));',
    replace: 'void errorFrame;',
  },
  {
    name: 'a client takes what it does not know from a server for a mistake of its own',
    file: 'src/client/session.ts',
    find: 'default:\n        return this.#broken(',
    replace: 'default:\n        throw new Error(',
  },
  {
    name: 'a datagram is taken whatever its checksum',
    file: 'src/protocol/datagram.ts',
    find: 'if (checksum(bytes) !== crc)',
    replace: 'if (false)',
  },
  {
    name: 'a datagram is taken with any token',
    file: 'src/ingest/datagrams.ts',
    find: "if (producer === undefined) return 'wrong_token';",
    replace: '',
  },
  {
    name: 'the checksum of a PROXY header is compared when it should not be',
    file: 'src/ingest/proxy-header.ts',
    find: 'zeroed.fill(0, at, end);',
    replace: '',
  },
  {
    name: 'a client forgets what is stored and not applied',
    file: 'src/client/outbox.ts',
    find: 'this.#settle(lane, () => lane.markStored(place.seq));\n',
    replace: 'this.#settle(lane, () => lane.markStored(place.seq));\n    this.applied(partition, place);\n',
  },
];

test(
  'frames: what was never sent is never taken, and nothing but the errors of the protocol comes of it',
  { timeout: 300_000 },
  async () => {
    const { done, violations, accepted } = await fuzz('frames', FRAMES_IN_VERIFY);
    expect(violations).toEqual([]);
    expect(done).toBe(FRAMES_IN_VERIFY);
    expect(accepted).toBeGreaterThan(done / 10);
  },
);

test.skipIf(missingFor('services') !== undefined)(
  'sockets: a real server bears the same, holds no more afterwards, and applies every row of a client beside them',
  { timeout: 300_000 },
  async () => {
    const { done, violations, connections } = await fuzz('sockets', SOCKETS_IN_VERIFY);
    expect(violations).toEqual([]);
    expect(done).toBe(SOCKETS_IN_VERIFY);
    expect(connections).toBeGreaterThan(done / 64);
  },
);

describe('fuzzing frames finds what is planted', () => {
  test.each(PLANTED)('$name', { timeout: 60_000 }, async (patch) => {
    const { violations } = await fuzz('frames', 100_000, patchedEnv([patch]));
    expect(violations).not.toEqual([]);
  });
});

async function fuzz(name: 'frames' | 'sockets', count: number, env: Record<string, string> = {}): Promise<FuzzReport> {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-fuzz-'));
  try {
    const file = join(folder, 'report.json');
    const args = [RUN, '--fuzz', name, '--inputs', `1..${count}`, '--json', file];
    const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'] });
    endWithUs(child);
    const [code] = (await once(child, 'close')) as [number | null];
    if (!existsSync(file)) throw new Error(`the run ended with ${code} and no report`);
    return JSON.parse(readFileSync(file, 'utf8')) as FuzzReport;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
