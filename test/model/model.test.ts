import { describe, expect, test } from 'vitest';
import { CASES, modelOf, SECOND_LINES, type Size } from './cases.ts';
import { explore, stepsFrom } from './explore.ts';
import { ALL_FAULTS, type FaultName } from './faults.ts';
import { bitOf } from './place.ts';
import { RULES } from './rules.ts';
import { startOf, withLedger, withLink } from './world.ts';

describe('with all rules nothing is wrong, in every state', () => {
  test.each<[string, Partial<Size>, readonly FaultName[], number]>([
    ['two batches, any fault', {}, ALL_FAULTS, 100_000],
    ['any two faults', { batches: 1, faults: 2 }, ALL_FAULTS, 50_000],
    ['two nodes, any fault', { batches: 1, nodes: 2 }, ALL_FAULTS, 50_000],
    ['two sinks, the fault of one or of the queue', { batches: 1, sinks: 2 }, ['COMMIT unknown', 'sink restored', 'list deleted'], 10_000],
    ['two nodes and two sinks', { batches: 1, nodes: 2, sinks: 2, faults: 0 }, [], 10_000],
    ['two streams, a node killed', { batches: 1, clients: 2 }, ['node killed'], 50_000],
  ])('%s', { timeout: 120_000 }, (_, size, kinds, least) => {
    const { found, states } = explore(modelOf({ out: [], size, kinds }));
    expect(found).toBeUndefined();
    // Less would mean that something can no longer happen.
    expect(states).toBeGreaterThan(least);
  });
});

describe('without', () => {
  test.each(CASES.map((one) => ({ ...one, name: `${one.out.join(', ')}: ${one.expected}` })))('$name', { timeout: 60_000 }, (one) => {
    const { found } = explore(modelOf(one));
    expect(found?.violation, found?.trace.join('\n')).toBe(one.expected);
  });

  test.each(Object.entries(SECOND_LINES))('%s nothing shows: %s', { timeout: 60_000 }, (name) => {
    const out = [name as keyof typeof RULES];
    const { found } = explore(modelOf({ out, size: { batches: 1 }, kinds: ALL_FAULTS }));
    expect(found).toBeUndefined();
  });

  test('each rule something is wrong, or it is known for a second line', () => {
    const known = [...CASES.flatMap(({ out }) => out), ...Object.keys(SECOND_LINES)];
    expect(Object.keys(RULES).filter((name) => !known.includes(name))).toEqual([]);
  });
});

test.each([
  ['what was applied is undone', bitOf(1), undefined],
  ['nothing is', 0, 'false incident'],
])('a client that is told of an incident when %s', (_, undone, expected) => {
  const model = modelOf({ out: [], kinds: ALL_FAULTS });
  const connected = stepsFrom(model, startOf(model)).find(({ world }) => world.links[0]?.live);
  const live = connected?.world.links[0]?.live;
  if (connected === undefined || !live) throw new Error('no client connects');
  const told = withLink(withLedger(connected.world, { undone }), 0, { live: { ...live, down: [['regressed', 0]] } });
  const heard = stepsFrom(model, told).find(({ label }) => label.includes('hears regressed'));
  expect(heard).toMatchObject({ violation: expected });
});
