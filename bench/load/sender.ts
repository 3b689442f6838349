import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import type { Latency, Mark, SenderCommand, SenderPlan, SenderReport } from './sender-messages.ts';

const ENTRY = fileURLToPath(new URL('sender-entry.ts', import.meta.url));

/** A process that plays frames which were encoded beforehand, so that neither encoding nor the SDK is what is measured. */
export interface Sender {
  readonly frames: number;
  readonly bytes: number;
  /** Sum of the CRCs of all frames. */
  readonly crcSum: number;
  /** Begins to send. */
  go(): void;
  /** Resolves when the server says that everything is stored. */
  stored(): Promise<Mark>;
  /** Resolves when the server says that everything is applied. */
  applied(): Promise<Mark & { readonly latency?: Latency }>;
  close(): void;
}

/** Resolves when everything is encoded and the server has taken every connection in. @throws {Error} when it does not. */
export async function startSender(plan: SenderPlan): Promise<Sender> {
  // Its own memory limit is of no interest: five million changes are encoded at once.
  const child = fork(ENTRY, { execArgv: ['--max-old-space-size=4096'], stdio: 'inherit' });
  endWithUs(child);
  const [ready, stored, applied] = [waiting<'ready'>(), waiting<'stored'>(), waiting<'applied'>()];
  const fail = (message: string) => {
    for (const { reject } of [ready, stored, applied]) reject(new Error(message));
  };
  child.on('exit', (code) => fail(`the sender process ended with ${code}`));
  child.on('message', (report: SenderReport) => {
    if (report.type === 'failed') fail(report.message);
    else if (report.type === 'ready') ready.resolve(report);
    else if (report.type === 'stored') stored.resolve(report);
    else applied.resolve(report);
  });
  tell(child, { type: 'prepare', plan });
  try {
    const { frames, bytes, crcSum } = await ready.promise;
    return {
      frames,
      bytes,
      crcSum,
      go: () => tell(child, { type: 'go' }),
      stored: () => stored.promise,
      applied: () => applied.promise,
      close: () => void child.kill('SIGKILL'),
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

function tell(child: ChildProcess, command: SenderCommand): void {
  child.send(command);
}

function waiting<Type extends SenderReport['type']>(): PromiseWithResolvers<SenderReport & { type: Type }> {
  const one = Promise.withResolvers<SenderReport & { type: Type }>();
  // Whoever does not wait for it is not interested in its failure either.
  one.promise.catch(() => {});
  return one;
}
