/**
 * The thread that writes an embedded queue. Everything that waits when it gets to work goes into one transaction, so that
 * one flush of the disk serves all.
 */
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { sqliteError } from './errors.ts';
import type { Envelope, Opening, WriterData } from './requests.ts';
import { EmbeddedStore } from './store.ts';

const MAX_GROUP_REQUESTS = 4096;
const MAX_GROUP_BYTES = 32 * 1024 * 1024;
const TIDY_DELAY_MS = 200;

const port = parentPort as MessagePort;
const store = open();
if (store) serve(store);

function open(): EmbeddedStore | undefined {
  try {
    const opened = new EmbeddedStore(workerData as WriterData);
    port.postMessage({ opened: true, usedBytes: opened.usedBytes } satisfies Opening);
    return opened;
  } catch (error) {
    const problem = sqliteError(error);
    if (problem === undefined) throw error;
    port.postMessage({ opened: false, error: { code: problem.code, message: problem.message } } satisfies Opening);
    port.close();
    return undefined;
  }
}

function serve(opened: EmbeddedStore): void {
  let tidying: NodeJS.Timeout | undefined;
  const tidy = () => {
    tidying = opened.tidy() ? setTimeout(tidy, TIDY_DELAY_MS) : undefined;
  };
  port.on('message', (first: readonly Envelope[] | 'close') => {
    const group: Envelope[] = [];
    let closing = false;
    for (
      let message: readonly Envelope[] | 'close' | undefined = first;
      message !== undefined;
      message = isFull(group) ? undefined : receive()
    ) {
      if (message === 'close') {
        closing = true;
        break;
      }
      group.push(...message);
    }
    if (group.length > 0) port.postMessage(opened.run(group));
    if (!closing) {
      tidying ??= setTimeout(tidy, TIDY_DELAY_MS);
      return;
    }
    clearTimeout(tidying);
    opened.close();
    port.close();
  });
}

function receive(): readonly Envelope[] | 'close' | undefined {
  const received: { message: readonly Envelope[] | 'close' } | undefined = receiveMessageOnPort(port);
  return received?.message;
}

function isFull(group: readonly Envelope[]): boolean {
  if (group.length >= MAX_GROUP_REQUESTS) return true;
  let bytes = 0;
  for (const { request } of group) if (request.type === 'append') bytes += request.bytes.length;
  return bytes >= MAX_GROUP_BYTES;
}
