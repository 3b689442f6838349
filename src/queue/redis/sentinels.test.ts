import { expect, test } from 'vitest';
import { believe, type Answer } from './sentinels.ts';

function answer(port: number, epoch: number): Answer {
  return { master: { host: '127.0.0.1', port }, epoch };
}

test('of what Sentinels say the newest configuration is believed', () => {
  expect(believe([answer(1, 3), answer(2, 4), answer(1, 3)], 3, undefined)).toEqual(answer(2, 4));
});

test('where it is told in two ways, what more of them say', () => {
  expect(believe([answer(1, 4), answer(2, 4), answer(2, 4)], 3, undefined)).toEqual(answer(2, 4));
});

test('nothing older than what is known, unless a majority says so', () => {
  const known = answer(2, 4);
  expect(believe([answer(1, 3)], 3, known)).toEqual(known);
  // They were set up anew.
  expect(believe([answer(1, 0), answer(1, 0)], 3, known)).toEqual(answer(1, 0));
  expect(believe([answer(3, 4)], 3, known)).toEqual(answer(3, 4));
});

test('what is known while nobody answers', () => {
  expect(believe([], 3, answer(2, 4))).toEqual(answer(2, 4));
  expect(believe([], 3, undefined)).toBeUndefined();
});
