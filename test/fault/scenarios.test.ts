import { expect, test } from 'vitest';
import { PAIR_SCENARIOS } from '../pair/pair-scenarios.ts';
import { EMBEDDED_PLAN, KILL_PLAN, NETWORK_PLAN } from './drill-plans.ts';
import { SCENARIOS } from './scenarios.ts';

test('every scenario has a name of its own and is run by a test', () => {
  const planned = [EMBEDDED_PLAN, KILL_PLAN, NETWORK_PLAN].flatMap((plan) => Object.keys(plan));
  expect(planned.toSorted()).toEqual(SCENARIOS.map(({ name }) => name).toSorted());
});

test('no scenario of a pair has the name of another', () => {
  const names = [...SCENARIOS, ...PAIR_SCENARIOS].map(({ name }) => name);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});
