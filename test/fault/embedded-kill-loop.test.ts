import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { auditFaults, staleKeys } from '../support/audit.ts';
import { countEffects, createAuditedFile, readAuditedFile } from '../support/audited-file.ts';
import { eventually } from '../support/eventually.ts';
import { KEYS, ProducerProcess } from '../support/producer-process.ts';
import { ServerProcess } from '../support/server-process.ts';

const LOOPS = 10;

describe('a client with a spool streams through the embedded queue into the embedded sink', () => {
  let server: ServerProcess;
  let producer: ProducerProcess;
  let file: string;

  beforeAll(async () => {
    server = await ServerProcess.create();
    file = join(server.data, 'data.db');
    createAuditedFile(file);
    await server.start();
    producer = new ProducerProcess(server.url);
    producer.start();
    await producer.sending();
    await advance();
  });

  afterAll(async () => {
    await producer?.close();
    await server?.close();
  });

  /** Waits until rows are applied again: no fault is injected into a system that stands still. */
  async function advance(): Promise<void> {
    const before = countEffects(file);
    await eventually(() => {
      if (!producer.running) throw new Error(`the producer ended: ${producer.output}`);
      const now = countEffects(file);
      if (now < before + 100) throw new Error(`${now - before} rows were applied; the server said ${server.output.slice(-1500)}`);
    }, 25_000);
  }

  test(`the server is killed ${LOOPS} times`, { timeout: 120_000 }, async () => {
    for (let i = 0; i < LOOPS; i++) {
      await server.stop('SIGKILL');
      await server.start();
      await advance();
    }
  });

  test('afterwards every row is there exactly once and in order', { timeout: 60_000 }, async () => {
    expect(await producer.stop('SIGTERM'), producer.output).toBe(0);
    const { audit, items, plain, strayLetters } = readAuditedFile(file);
    const faults = auditFaults(producer.history(), audit, items, KEYS);
    // All of a large number would hide the first.
    expect(faults.slice(0, 20), `${faults.length} faults`).toEqual([]);
    expect(staleKeys(producer.history(), plain, KEYS)).toEqual([]);
    expect(audit.length).toBeGreaterThan(100 * LOOPS);
    expect(strayLetters).toBe(0);
  });
});
