import { describe, expect, test } from 'vitest';
import { selfTimes, type CpuProfile } from './self-time.ts';
import { stageTimes } from './stages.ts';

const node = (id: number, functionName: string, url: string, children: number[] = []) => ({
  id,
  callFrame: { functionName, url },
  children,
});

const PROFILE: CpuProfile = {
  nodes: [
    node(1, '(root)', '', [2, 3, 4, 5, 9]),
    node(2, '(idle)', ''),
    node(3, '(garbage collector)', ''),
    node(4, '(program)', ''),
    node(5, 'scan', 'file:///srv/syncline/dist/protocol/scan.js', [6, 7]),
    node(6, 'crc32', ''),
    node(7, 'query', 'file:///srv/syncline/node_modules/mysql2/lib/connection.js', [8]),
    node(8, 'writeUtf8', ''),
    node(9, 'write', 'node:net'),
  ],
  samples: [2, 3, 4, 5, 6, 7, 8, 9, 5],
  timeDeltas: [1000, 20, 30, 400, 50, 60, 7, 8, 100],
};

describe('self time', () => {
  test('is added up by module, with native functions at their callers', () => {
    expect(selfTimes(PROFILE)).toEqual([
      { module: '(idle)', us: 1000, nativeUs: 0 },
      { module: 'src/protocol/scan.ts', us: 550, nativeUs: 50 },
      { module: 'mysql2', us: 67, nativeUs: 7 },
      { module: '(native)', us: 30, nativeUs: 0 },
      { module: '(garbage collector)', us: 20, nativeUs: 0 },
      { module: 'node:net', us: 8, nativeUs: 0 },
    ]);
  });

  test('loses nothing when it is added up by stage', () => {
    const stages = stageTimes(selfTimes(PROFILE));
    expect(stages.reduce((sum, { us }) => sum + us, 0)).toBe(PROFILE.timeDeltas.reduce((sum, us) => sum + us, 0));
    expect(stages.map(({ stage }) => stage)).toEqual([
      'check: scan of the payload',
      'write: SQL and the database',
      'Node itself',
      'garbage collection',
      'native outside of any function',
      'idle',
    ]);
  });

  test('of a module that no stage knows is shown all the same', () => {
    expect(stageTimes([{ module: 'src/something/new.ts', us: 5, nativeUs: 0 }])).toEqual([{ stage: 'everything else', us: 5 }]);
  });
});
