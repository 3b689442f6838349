import { expect, test } from 'vitest';
import { EMBEDDED_PLAN, KILL_PLAN, NETWORK_PLAN } from './drill-plans.ts';
import { SCENARIOS } from './scenarios.ts';

test('every scenario has a name of its own and is run by a test', () => {
  const planned = [EMBEDDED_PLAN, KILL_PLAN, NETWORK_PLAN].flatMap((plan) => Object.keys(plan));
  expect(planned.toSorted()).toEqual(SCENARIOS.map(({ name }) => name).toSorted());
});
