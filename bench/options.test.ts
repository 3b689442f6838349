import { describe, expect, test } from 'vitest';
import { readOptions, UsageError } from './options.ts';

const KNOWN = { comparisons: ['inserts', 'updates'], profiles: ['updates', 'latency'], micros: ['scan', 'sql'] };
const read = (...args: string[]) => readOptions(args, KNOWN);

describe('comparisons', () => {
  test('a whole run is published, a part of it only when asked for', () => {
    expect(read()).toMatchObject({ mode: 'compare', only: undefined, quick: false, publish: true });
    for (const part of [['--quick'], ['--only', 'inserts'], ['--pairs', '3'], ['--scale', '0.5']])
      expect(read(...part)).toMatchObject({ publish: false });
    expect(read('--quick', '--publish')).toMatchObject({ quick: true, publish: true });
  });

  test('names come separated by commas, values with or without an equals sign', () => {
    expect(read('--only', 'inserts,updates', '--json=out.json')).toMatchObject({ only: ['inserts', 'updates'], json: 'out.json' });
  });

  test.each<[string[], string]>([
    [['--qick'], 'did you mean --quick?'],
    [['--only', 'insert'], 'did you mean inserts?'],
    [['--only'], '--only needs a value'],
    [['--only', '--quick'], '--only needs a value'],
    [['--quick=yes'], '--quick takes no value'],
    [['quick'], 'they begin with --'],
    [['--pairs', '0'], 'must be above 0'],
    [['--pairs', '1.5'], 'must be a whole number'],
    [['--scale', '2'], 'at most 1'],
    [['--rate', '5'], 'means nothing without --url'],
  ])('%j is refused: %s', (args, message) => {
    expect(() => read(...args)).toThrow(UsageError);
    expect(() => read(...args)).toThrow(message);
  });
});

describe('other modes', () => {
  test('connections are ten thousand unless it is said how many', () => {
    expect(read('--connections')).toEqual({ mode: 'connections', connections: 10_000 });
    expect(read('--connections', '500')).toEqual({ mode: 'connections', connections: 500 });
    expect(() => read('--connections', '0')).toThrow(UsageError);
  });

  test('a server to load needs its url only', () => {
    expect(read('--url', 'tcp://127.0.0.1:9501')).toMatchObject({ mode: 'load', producers: 4, rate: 1000, seconds: 10, table: 'bench' });
    expect(read('--url', 'tcp://h:1', '--rate', '250.5', '--seconds', '3')).toMatchObject({ rate: 250.5, seconds: 3 });
  });

  test('a profile is that of the first case unless it is named', () => {
    expect(read('--profile')).toMatchObject({ mode: 'profile', name: 'updates', scale: 1 });
    expect(read('--profile', 'latency', '--scale', '0.1')).toMatchObject({ name: 'latency', scale: 0.1 });
    expect(() => read('--profile', 'latncy')).toThrow('did you mean latency?');
  });

  test('all micro-benches run unless one is named', () => {
    expect(read('--micro')).toEqual({ mode: 'micro', name: undefined });
    expect(read('--micro', 'sql')).toEqual({ mode: 'micro', name: 'sql' });
  });

  test('two modes at once, and options of another mode, are refused', () => {
    expect(() => read('--profile', '--micro')).toThrow('different things');
    expect(() => read('--micro', '--quick')).toThrow('--quick means nothing with --micro');
  });

  test('help is shown whatever else is asked for', () => {
    expect(read('--help', '--quick')).toEqual({ mode: 'help' });
  });
});
