import { describe, expect, test } from 'vitest';
import { claimOfActive, claimOfStandby } from './claims.ts';

describe('who may ask for a lease', () => {
  test('of a pair, both wait for partition 0, and whoever leads takes the others', () => {
    expect([claimOfStandby(0, false), claimOfStandby(0, true)]).toEqual(['wait', 'wait']);
    expect([claimOfStandby(5, false), claimOfStandby(5, true)]).toEqual(['none', 'take']);
  });

  test('of many, each waits for what it is assigned', () => {
    const owners = ['a', 'b', 'a'];
    expect([0, 1, 2, 3].map((partition) => claimOfActive(partition, 'a', owners))).toEqual(['wait', 'none', 'wait', 'none']);
  });
});
