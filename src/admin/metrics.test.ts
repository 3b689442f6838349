import { expect, test } from 'vitest';
import { sampleCluster, sampleState } from '../../test/support/sample-state.ts';
import { createMetrics, type FinishedSlice } from './metrics.ts';
import type { AdminState } from './state.ts';

/** The samples by name and labels. */
async function scrape(metrics: { render(): Promise<string> }): Promise<Map<string, number>> {
  const samples = new Map<string, number>();
  for (const line of (await metrics.render()).split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    samples.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return samples;
}

function slice(fields: Partial<FinishedSlice>): FinishedSlice {
  return { outcome: 'applied', error: undefined, stats: { elements: 2, changes: 30, deadLetters: 1, fetchMs: 1, applyMs: 3 }, ...fields };
}

test('counts what is stored and applied', async () => {
  const metrics = createMetrics(sampleState());
  metrics.stored(3, 1000);
  metrics.stored(1, 24);
  metrics.sliceFinished(slice({}));
  metrics.sliceFinished(slice({}));
  const samples = await scrape(metrics);
  expect(samples.get('syncline_stored_frames_total')).toBe(4);
  expect(samples.get('syncline_stored_bytes_total')).toBe(1024);
  expect(samples.get('syncline_applied_batches_total')).toBe(4);
  expect(samples.get('syncline_applied_changes_total')).toBe(60);
  expect(samples.get('syncline_dead_letters_total')).toBe(2);
  expect(samples.get('syncline_slice_seconds_count{outcome="applied"}')).toBe(2);
  expect(samples.get('syncline_slice_seconds_sum{outcome="applied"}')).toBeCloseTo(0.008);
  expect(samples.get('syncline_slice_seconds_bucket{le="0.005",outcome="applied"}')).toBe(2);
});

test('counts retries and refused connections by code, and never by a text that it does not know', async () => {
  const metrics = createMetrics(sampleState());
  metrics.sliceFinished(slice({ outcome: 'failed', error: { code: 'sink_busy' } }));
  metrics.sliceFinished(slice({ outcome: 'failed', error: undefined }));
  metrics.sliceFinished(slice({ outcome: 'blocked' }));
  metrics.connectionRefused('auth_failed');
  metrics.connectionRefused('made up "by\n a client');
  metrics.connectionRefused('toString');
  const samples = await scrape(metrics);
  expect([...samples].filter(([name]) => /retries|connections_refused/.test(name))).toEqual([
    ['syncline_slice_retries_total{code="sink_busy"}', 1],
    ['syncline_slice_retries_total{code="other"}', 1],
    ['syncline_connections_refused_total{reason="auth_failed"}', 1],
    ['syncline_connections_refused_total{reason="other"}', 2],
  ]);
});

test('the end of the certificate is a time, and missing where there is none', async () => {
  const name = 'syncline_tls_certificate_expiry_timestamp_seconds';
  let certificate: ReturnType<AdminState['certificate']> = { names: [], expiresAtMs: 1_827_304_112_000 };
  const metrics = createMetrics({ ...sampleState(), certificate: () => certificate });
  expect((await scrape(metrics)).get(name)).toBe(1_827_304_112);
  certificate = undefined;
  expect((await scrape(metrics)).has(name)).toBe(false);
});

test('gauges show the state at the time of the scrape', async () => {
  let held: string | undefined = 'queue_full: redis uses more than 70 %';
  const state: AdminState = { ...sampleState(), queue: () => ({ kind: 'redis', held, failure: undefined }) };
  const metrics = createMetrics(state);
  const before = await scrape(metrics);
  expect(before.get('syncline_lag_batches{partition="1"}')).toBe(2);
  expect(before.get('syncline_lag_seconds{partition="1"}')).toBe(1.5);
  expect(before.get('syncline_queue_bytes')).toBe(300);
  expect(before.get('syncline_sessions')).toBe(3);
  expect(before.get('syncline_dead_letters_open')).toBe(2);
  const reasons = (samples: Map<string, number>) =>
    [...samples].filter(([name, value]) => name.startsWith('syncline_credit_held') && value === 1).map(([name]) => name);
  expect(reasons(before)).toEqual(['syncline_credit_held{reason="queue_full"}']);
  held = 'something new: nobody has named it yet';
  expect(reasons(await scrape(metrics))).toEqual(['syncline_credit_held{reason="other"}']);
  held = undefined;
  expect(reasons(await scrape(metrics))).toEqual([]);
});

test('a sink that cannot be read leaves out its gauge and nothing else', async () => {
  let away = false;
  const metrics = createMetrics({ ...sampleState(), deadLetters: () => (away ? Promise.reject(new Error('away')) : Promise.resolve(5)) });
  expect((await scrape(metrics)).get('syncline_dead_letters_open')).toBe(5);
  away = true;
  const samples = await scrape(metrics);
  expect(samples.has('syncline_dead_letters_open')).toBe(false);
  expect(samples.get('syncline_sessions')).toBe(3);
});

test('a sink that never answers does not hold up the scrape', async () => {
  const samples = await scrape(createMetrics({ ...sampleState(), deadLetters: () => new Promise(() => {}) }));
  expect(samples.get('syncline_sessions')).toBe(3);
});

test('tells about the process under the usual names', async () => {
  const samples = await scrape(createMetrics(sampleState()));
  expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
  expect(samples.get('process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(samples.get('process_start_time_seconds')).toBeGreaterThan(1.7e9);
  expect(samples.has('nodejs_eventloop_utilization')).toBe(true);
});

test('two nodes in one process count apart', async () => {
  const [one, other] = [createMetrics(sampleState()), createMetrics(sampleState())];
  one.stored(1, 1);
  expect((await scrape(other)).get('syncline_stored_frames_total')).toBe(0);
});

test('tells the place of a node among others', async () => {
  const of = async (state: Partial<AdminState>) => {
    const samples = await scrape(createMetrics({ ...sampleState(), ...state }));
    return ['leader', 'members', 'takeovers_total', 'handovers_total'].map((name) => samples.get(`syncline_${name}`));
  };
  expect(await of({})).toEqual([1, 1, 0, 0]);
  expect(await of({ cluster: () => sampleCluster() })).toEqual([0, 2, 2, 1]);
  expect(await of({ cluster: () => sampleCluster({ primary: true }) })).toEqual([1, 2, 2, 1]);
});
