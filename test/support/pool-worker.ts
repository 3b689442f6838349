/** A worker of the pool that does what its tasks say, for tests of the pool itself. */
import { threadId, workerData } from 'node:worker_threads';
import type { WarmUpResult } from '../../src/apply/task.ts';

export interface PoolWorkerData {
  readonly name: string;
  /** Why it cannot work; it can when this is left out. */
  readonly failure?: string;
  readonly endsAtOnce?: boolean;
  /** One element per task: who waits for it to become 1 runs until then. */
  readonly gates: SharedArrayBuffer;
}

const data = workerData as PoolWorkerData;
if (data.endsAtOnce === true) process.exit(1);
const gates = new Int32Array(data.gates);

export interface Ran {
  readonly generation: string;
  readonly threadId: number;
}

export async function runTask(gate: number): Promise<Ran> {
  const waiting = Atomics.waitAsync(gates, gate, 0);
  if (waiting.async) await waiting.value;
  return { generation: data.name, threadId };
}

export function warmUp(): WarmUpResult {
  return { threadId, failure: data.failure === undefined ? undefined : { code: 'sink_denied', message: data.failure } };
}
