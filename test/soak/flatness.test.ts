import { describe, expect, test } from 'vitest';
import { growthOf } from './flatness.ts';
import type { Sample } from './soak-report.ts';

const SAMPLE_S = 10;

/** An hour of one server, with a quiet point every five minutes. */
function hour(at: (i: number, isQuiet: boolean) => Partial<Sample>): Sample[] {
  return Array.from({ length: 360 }, (_, i) => {
    const isQuiet = i % 30 === 29;
    return {
      atS: i * SAMPLE_S,
      isQuiet,
      serverPid: 1,
      serverAgeS: i * SAMPLE_S,
      serverRssMib: 200,
      serverDescriptors: 40,
      serverThreads: 12,
      clientRssMib: 100,
      clientDescriptors: 25,
      redisMib: 2,
      queued: 0,
      spoolMib: 1,
      ...at(i, isQuiet),
    };
  });
}

describe('what grows', () => {
  test('nothing does when everything comes and goes', () => {
    expect(
      growthOf(hour((i, isQuiet) => (isQuiet ? {} : { serverRssMib: 180 + (i % 7) * 10, redisMib: i % 50, queued: i, spoolMib: 30 }))),
    ).toEqual([]);
    // A fault makes it hold more for a moment.
    expect(growthOf(hour((i) => ({ serverRssMib: i > 300 && i % 10 < 4 ? 900 : 200 })))).toEqual([]);
  });

  test('a process that starts grows to what it needs', () => {
    expect(growthOf(hour((i) => ({ serverRssMib: Math.min(200, 80 + i * 10), clientRssMib: Math.min(120, 80 + (i % 30) * 10) })))).toEqual(
      [],
    );
  });

  test.each<[string, (i: number, isQuiet: boolean) => Partial<Sample>, RegExp]>([
    ['memory of the server', (i) => ({ serverRssMib: 200 + i / 2 }), /the server .* grows: 2\d\d MiB .* 3\d\d MiB/],
    ['descriptors of the server', (i) => ({ serverDescriptors: 40 + Math.floor(i / 30) }), /has 51 descriptors open .* 40 at its first/],
    ['memory of Redis', (i) => ({ redisMib: 2 + i / 20 }), /Redis holds/],
    // It is a new process after each quiet point.
    ['memory of a client', (i) => ({ clientRssMib: 100 + (i % 30) * 6 }), /a client grows: 1\d\d MiB .* 2\d\d MiB/],
    ['a list', (i, isQuiet) => (isQuiet && i > 100 ? { queued: 1 } : {}), /1 batches are queued/],
    ['a spool', (i) => ({ spoolMib: i / 4 }), /a spool holds/],
  ])('%s', (_, at, finding) => {
    expect(growthOf(hour(at)).join('\n')).toMatch(finding);
  });

  test('each process of the server is judged for itself', () => {
    expect(
      growthOf(hour((i) => (i < 180 ? {} : { serverPid: 2, serverAgeS: (i - 180) * SAMPLE_S, serverRssMib: 400, serverDescriptors: 60 }))),
    ).toEqual([]);
  });
});
