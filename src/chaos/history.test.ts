import { expect, test } from 'vitest';
import { noteLine, readHistory } from './history.ts';

const notes = [
  noteLine(['begun', 1, 10, 1000]),
  noteLine(['kept', 1, 10]),
  noteLine(['begun', 1, 20, 2000]),
  noteLine(['applied', 1, 10]),
  noteLine(['refused', 1, 7]),
  noteLine(['begun', 2, 5, 3000]),
  noteLine(['note', 'auth_timeout']),
  noteLine(['complaint', 'stopped']),
];

test('the notes of a client tell what it did in each life', () => {
  const { lives, refused, complaints, notes: told } = readHistory(3, [notes.slice(0, 5).join(''), notes.slice(5).join('')]);
  expect([...lives]).toEqual([
    [
      1,
      {
        begun: 20,
        kept: 10,
        applied: 10,
        blocks: [
          [1, 1000],
          [11, 2000],
        ],
      },
    ],
    [2, { begun: 5, kept: 0, applied: 0, blocks: [[1, 3000]] }],
  ]);
  expect([[...refused], complaints, told]).toEqual([['1 7'], ['stopped'], ['auth_timeout']]);
});

test('a line that death cut off counts as not written', () => {
  const first = notes.slice(0, 5).join('') + noteLine(['kept', 1, 20]);
  const { lives } = readHistory(3, [first.slice(0, -4), notes.slice(5).join('')]);
  expect([lives.get(1)?.kept, lives.get(2)?.begun]).toEqual([10, 5]);
});
