import { expect, test } from 'vitest';
import { readClusterNodes, slotOf } from './slots.ts';

test('the slot of a key is that of its hash tag', () => {
  // As CLUSTER KEYSLOT gives them.
  expect(slotOf('123456789')).toBe(12_739);
  expect(slotOf('foo')).toBe(12_182);
  expect(slotOf('syncline:{3}:list:main')).toBe(slotOf('3'));
  expect(slotOf('{}foo')).not.toBe(slotOf('foo'));
  expect(slotOf('a{foo}{bar}')).toBe(slotOf('foo'));
});

test('of what several nodes say, the newer owner of a slot is believed', () => {
  const stale = [
    'a1 127.0.0.1:1@11 myself,master - 0 0 1 connected 0-2 [2->-b2]',
    'b2 127.0.0.1:2@12,two.example master - 0 0 2 connected 3',
    'c3 127.0.0.1:3@13 slave a1 0 0 1 connected',
  ].join('\n');
  const fresh = [
    'a1 127.0.0.1:1@11 master,fail - 0 0 1 disconnected',
    'b2 127.0.0.1:2@12,two.example master - 0 0 4 connected 2-3',
    'c3 127.0.0.1:3@13 myself,master - 0 0 3 connected 0-1',
    'd4 :0@0 master,noaddr - 0 0 0 disconnected',
  ].join('\n');
  for (const answers of [
    [stale, fresh],
    [fresh, stale],
  ]) {
    const view = readClusterNodes(answers);
    expect([0, 1, 2, 3, 4].map((slot) => view.ownerOf(slot)?.address)).toEqual([
      { host: '127.0.0.1', port: 3 },
      { host: '127.0.0.1', port: 3 },
      { host: 'two.example', port: 2 },
      { host: 'two.example', port: 2 },
      undefined,
    ]);
    expect([...view.masters].sort()).toEqual(['127.0.0.1:1', '127.0.0.1:3', 'two.example:2']);
    expect(view.nodes).toHaveLength(3);
  }
});

test('a node that says itself that it does not serve a slot is not believed to, whatever its epoch, unless nobody else is named', () => {
  const missedIt = 'a1 127.0.0.1:1@11 myself,master - 0 0 1 connected 0\nb2 127.0.0.1:2@12 master - 0 0 12 connected 1-3';
  const before = 'a1 127.0.0.1:1@11 master - 0 0 1 connected 0\nb2 127.0.0.1:2@12 myself,master - 0 0 12 connected 1-2';
  const after = 'b2 127.0.0.1:2@12 master - 0 0 12 connected 1-2\nc3 127.0.0.1:3@13 myself,master - 0 0 11 connected 3';
  const portsIn = (...answers: string[]) => {
    const view = readClusterNodes(answers);
    return [0, 1, 2, 3].map((slot) => view.ownerOf(slot)?.address.port);
  };
  expect(portsIn(missedIt, before, after)).toEqual([1, 2, 2, 3]);
  expect(portsIn(missedIt, before)).toEqual([1, 2, 2, 2]);
  expect(portsIn(missedIt, after)).toEqual([1, 2, 2, 2]);
});

test('of the whole range of slots each has its owner, as often as it is asked', () => {
  const view = readClusterNodes([
    'a1 127.0.0.1:1@11 myself,master - 0 0 1 connected 0-8190 8192\nb2 127.0.0.1:2@12 master - 0 0 1 connected 8191 8192 8193-16382',
  ]);
  const portOf = (slot: number) => view.ownerOf(slot)?.address.port;
  const slots = [0, 8190, 8191, 8192, 8193, 16_382, 16_383];
  // Of equal epochs the first one stays, also when it is asked again.
  for (const round of [1, 2]) expect([round, ...slots.map(portOf)]).toEqual([round, 1, 1, 2, 1, 2, 2, undefined]);
});
