import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { connect, type Client } from '../../src/client/client.ts';
import { auditFaults } from '../support/audit.ts';
import { createAuditedFile, readAuditedFile } from '../support/audited-file.ts';
import { eventually } from '../support/eventually.ts';
import { RowLoad } from '../support/row-load.ts';
import { ServerProcess } from '../support/server-process.ts';

const MIB = 1024 * 1024;
const DISK_BYTES = 48 * MIB;
const PAD_BYTES = 20_000;
/** More than finds room in the queue, so that it is the server who holds the client back. */
const BUFFER_BYTES = 24 * MIB;

const disk = mkdtempSync(join(tmpdir(), 'syncline-disk-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'none', disk]).status === 0;
if (!mounted) console.warn('a full disk is not tested: this user may not mount a tmpfs');

describe('an embedded server that has no room', () => {
  let server: ServerProcess | undefined;
  let client: Client | undefined;

  afterEach(async () => {
    await client?.close({ flush: false });
    await server?.close();
  });
  afterAll(() => {
    if (mounted) spawnSync('umount', ['--lazy', disk]);
    rmSync(disk, { recursive: true, force: true });
  });

  /** Waits until the server holds the client back and its writes wait; gives the reason. */
  async function heldBack(writer: Client): Promise<string> {
    return eventually(() => {
      const { held, waitingWrites } = writer.status();
      if (held === undefined || waitingWrites === 0) throw new Error(`held: ${held}; ${waitingWrites} writes wait`);
      return held;
    }, 20_000);
  }

  function expectExactlyOnce(load: RowLoad, file: string): void {
    const { audit, items, strayLetters } = readAuditedFile(file);
    const faults = auditFaults(load.history(), audit, items, load.keys);
    expect(faults.slice(0, 10), `${faults.length} faults`).toEqual([]);
    expect(strayLetters).toBe(0);
  }

  test.skipIf(!mounted)('because the disk is full: the client is held back, and goes on when there is room (needs a tmpfs)', async () => {
    const file = join(disk, 'data.db');
    createAuditedFile(file);
    server = await ServerProcess.create({ SYNCLINE_DATA: disk });
    await server.start();
    const ballast = join(disk, 'ballast');
    client = await connect({ url: server.url, bufferBytes: BUFFER_BYTES });
    const load = new RowLoad(client, { padBytes: PAD_BYTES });
    load.start();
    await load.more(50);
    // To the last byte, so that nothing can be applied either.
    fillUp(ballast);
    expect(await heldBack(client)).toMatch(/^queue_full: /);
    expect(await server.status()).toMatchObject({
      ready: false,
      queue: { admission: 'held', detail: expect.stringMatching(/^queue_full: /) },
    });
    expect(server.output).toMatch(/"reason":"queue_full: [^"]*","msg":"producers are held back"/);
    await server.stop('SIGKILL');
    rmSync(ballast);
    await server.start();
    await load.stop();
    expectExactlyOnce(load, file);
  });

  test('because its queue has reached its limit: the client is held back, and goes on when it drains', async () => {
    server = await ServerProcess.create({ SYNCLINE_QUEUE_MAX_BYTES: '16 MiB' });
    const file = join(server.data, 'data.db');
    createAuditedFile(file);
    await server.start();
    client = await connect({ url: server.url, bufferBytes: BUFFER_BYTES });
    const load = new RowLoad(client, { padBytes: PAD_BYTES });
    // Whoever holds the write lock of the sink keeps the queue from draining.
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    load.start();
    expect(await heldBack(client)).toMatch(/^queue_full: /);
    expect(await server.status()).toMatchObject({
      ready: false,
      queue: { admission: 'held', detail: expect.stringContaining('90 % of its 16777216 bytes') },
    });
    other.exec('ROLLBACK');
    other.close();
    await load.stop();
    expectExactlyOnce(load, file);
  });
});

/** Writes a file until the disk takes no more. */
function fillUp(file: string): void {
  for (let bytes = MIB; bytes >= 4096;) {
    try {
      appendFileSync(file, Buffer.alloc(bytes));
    } catch {
      bytes /= 4;
    }
  }
}
