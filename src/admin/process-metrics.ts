import { performance } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';

/**
 * What Prometheus users expect of every process, under the names they know. The library's own set also watches the event
 * loop with a timer of 10 ms, which would be the only thing that runs in an idle server; utilization costs nothing.
 */
export function addProcessMetrics(registry: Registry): void {
  const registers = [registry];
  let before = performance.eventLoopUtilization();
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of all threads, user and system, in seconds.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  gauge('process_start_time_seconds', 'Start of the process, seconds since the Unix epoch.', () => performance.timeOrigin / 1000);
  gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  gauge('nodejs_heap_size_used_bytes', 'Used heap of the main thread.', () => process.memoryUsage().heapUsed);
  gauge(
    'nodejs_external_memory_bytes',
    'Memory of buffers and other objects outside the heap of the main thread.',
    () => process.memoryUsage().external,
  );
  gauge('nodejs_eventloop_utilization', 'Share of time that the event loop of the main thread was busy since the last scrape.', () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  });

  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }
}
