import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import type { RowCommand, RowPlan, RowReport } from './row-sender-messages.ts';

const ENTRY = fileURLToPath(new URL('row-sender-entry.ts', import.meta.url));

/** A process that sends rows as programs do: where it is measured, what a program has to do is too. */
export interface RowSender {
  /** Sends everything, and resolves when the server says that it is stored. */
  send(): Promise<Extract<RowReport, { type: 'stored' }>>;
  close(): void;
}

/** Resolves when it is ready to send. @throws {Error} when it fails. */
export async function startRowSender(plan: RowPlan): Promise<RowSender> {
  const child = fork(ENTRY, { execArgv: ['--max-old-space-size=4096'], stdio: 'inherit' });
  endWithUs(child);
  const tell = (command: RowCommand) => void child.send(command);
  const heard = <Type extends RowReport['type']>(type: Type) =>
    new Promise<Extract<RowReport, { type: Type }>>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the sender process ended with ${code}`)));
      child.once('message', (report: RowReport) => {
        if (report.type === type) resolve(report as Extract<RowReport, { type: Type }>);
        else reject(new Error(report.type === 'failed' ? report.message : `the sender process said ${report.type}`));
      });
    });
  const ready = heard('ready');
  tell({ type: 'prepare', plan });
  await ready;
  return {
    send() {
      const stored = heard('stored');
      tell({ type: 'go' });
      return stored;
    },
    close: () => void child.kill('SIGKILL'),
  };
}
