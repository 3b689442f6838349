import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { count } from '../../src/cli/text.ts';
import type { LoadOptions } from '../options.ts';
import { figureText } from '../report/text.ts';
import type { ProducerCommand, ProducerNews, ProducerPlan } from './producer-messages.ts';

const ENTRY = new URL('producer-entry.ts', import.meta.url);

/** Where a load prints, and what ends it early. */
export interface LoadSurroundings {
  readonly print: (line: string) => void;
  readonly stop: AbortSignal;
}

/**
 * Loads a server through the client SDK, in threads so that one event loop is not the limit, with a line each second and
 * a report at the end. Resolves with the exit code: 1 when something was rejected, or is not applied.
 */
export async function runLoad(options: LoadOptions, { print, stop }: LoadSurroundings): Promise<number> {
  const producers = Array.from({ length: options.producers }, (_, index) => new Producer(planOf(options, index), stop));
  await Promise.all(producers.map(({ connected }) => connected));
  for (const producer of producers) producer.tell('go');
  const startedMs = performance.now();
  const all = createHistogram();
  let before = { sent: 0, applied: 0 };
  const progress = setInterval(() => {
    const second = createHistogram();
    for (const producer of producers) producer.takeLatency(second);
    if (second.count > 0) all.add(second);
    const now = totalOf(producers);
    const elapsed = Math.round((performance.now() - startedMs) / 1000);
    const pace = `sent ${count(now.sent - before.sent)}/s, applied ${count(now.applied - before.applied)}/s, pending ${count(now.pending)}`;
    print(`${String(elapsed).padStart(5)} s  ${pace}  ${latencyText(second)}${now.trouble === undefined ? '' : `  ${now.trouble}`}`);
    before = now;
  }, 1000);
  await Promise.all(producers.map(({ ended }) => ended));
  clearInterval(progress);
  const seconds = (performance.now() - startedMs) / 1000;
  for (const producer of producers) producer.takeLatency(all);
  const { sent, applied, rejected, trouble } = totalOf(producers);
  const unapplied = sent - applied - rejected;
  print(
    `sent ${count(sent)} changes in ${seconds.toFixed(1)} s, ${count(sent / seconds)}/s; applied ${count(applied)}, rejected ${count(rejected)}, not applied ${count(unapplied)}`,
  );
  print(`from due to applied: ${latencyText(all)}`);
  if (trouble !== undefined) print(`trouble: ${trouble}`);
  return rejected > 0 || unapplied > 0 || sent === 0 ? 1 : 0;
}

function planOf({ url, token, table, size, producers, rate, seconds, keys }: LoadOptions, index: number): ProducerPlan {
  return {
    url,
    token,
    table,
    size,
    firstKey: index + 1,
    keyStep: producers,
    keys: Math.max(1, Math.floor(keys / producers)),
    changesPerSecond: rate / producers,
    seconds,
  };
}

/** A producer thread as seen from here. */
class Producer {
  /** Resolves when it is connected, or has ended without that. */
  readonly connected: Promise<void>;
  readonly ended: Promise<void>;
  news: Omit<ProducerNews, 'latency' | 'type'> = { sent: 0, applied: 0, rejected: 0, pending: 0, trouble: undefined };
  readonly #worker: Worker;
  #latency: RecordableHistogram = createHistogram();

  constructor(plan: ProducerPlan, stop: AbortSignal) {
    const worker = (this.#worker = new Worker(ENTRY, { workerData: plan }));
    const connected = Promise.withResolvers<void>();
    this.connected = connected.promise;
    const onStop = () => this.tell('stop');
    stop.addEventListener('abort', onStop);
    worker.on('message', ({ type, latency, ...news }: ProducerNews) => {
      if (type === 'connected') connected.resolve();
      this.news = news;
      if (latency.count > 0) this.#latency.add(latency as RecordableHistogram);
    });
    this.ended = new Promise((resolve) => {
      worker.once('error', (error) => {
        this.news = { ...this.news, trouble: error.message };
        resolve();
      });
      worker.once('exit', () => {
        stop.removeEventListener('abort', onStop);
        connected.resolve();
        resolve();
      });
    });
  }

  tell(command: ProducerCommand): void {
    this.#worker.postMessage(command);
  }

  /** Adds what came since the last call to `total`. */
  takeLatency(total: RecordableHistogram): void {
    if (this.#latency.count > 0) total.add(this.#latency);
    this.#latency = createHistogram();
  }
}

function totalOf(producers: readonly Producer[]): Producer['news'] {
  const total = { sent: 0, applied: 0, rejected: 0, pending: 0, trouble: undefined as string | undefined };
  for (const { news } of producers) {
    total.sent += news.sent;
    total.applied += news.applied;
    total.rejected += news.rejected;
    total.pending += news.pending;
    total.trouble ??= news.trouble;
  }
  return total;
}

function latencyText(latency: RecordableHistogram): string {
  if (latency.count === 0) return 'nothing applied';
  const ms = (us: number) => `${figureText(us / 1000)} ms`;
  const percentiles = [50, 90, 99, 99.9].map((percent) => `p${percent} ${ms(latency.percentile(percent))}`);
  return `${percentiles.join(', ')}, max ${ms(latency.max)}`;
}
