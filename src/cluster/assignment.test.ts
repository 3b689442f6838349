import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignPartitions } from './assignment.ts';

const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 9 });
const partitionCount = fc.integer({ min: 1, max: 256 });

function moved(before: readonly string[], after: readonly string[]): number {
  return before.filter((owner, partition) => owner !== after[partition]).length;
}

describe('partitions are assigned', () => {
  test('all of them, and to each node as many as to any other or one more', () => {
    fc.assert(
      fc.property(names, partitionCount, (nodes, count) => {
        const owners = assignPartitions(nodes, count);
        const shares = nodes.map((node) => owners.filter((owner) => owner === node).length);
        expect(owners.every((owner) => nodes.includes(owner))).toBe(true);
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(count);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('equally by every node, in whatever order it knows them', () => {
    fc.assert(
      fc.property(names, partitionCount, fc.infiniteStream(fc.nat()), (nodes, count, keys) => {
        const shuffled = nodes
          .map((node) => ({ node, key: keys.next().value as number }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ node }) => node);
        expect(assignPartitions(shuffled, count)).toEqual(assignPartitions(nodes, count));
      }),
    );
  });

  test('with few moves when a node comes or goes: at most half of what assigning afresh would cost', () => {
    // Digests are not random, so this counts over many clusters.
    let [moves, needed, afresh] = [0, 0, 0];
    for (let size = 1; size <= 6; size++) {
      for (let salt = 0; salt < 50; salt++) {
        const nodes = Array.from({ length: size }, (_, i) => `node-${salt}-${i}`);
        const [before, after] = [assignPartitions(nodes, 16), assignPartitions([...nodes, `late-${salt}`], 16)];
        moves += moved(before, after);
        needed += Math.floor(16 / (size + 1));
        afresh += moved(
          before,
          Array.from({ length: 16 }, (_, partition) => [...nodes, `late-${salt}`][partition % (size + 1)]!),
        );
      }
    }
    expect(moves).toBeGreaterThanOrEqual(needed);
    expect(moves).toBeLessThan(2 * needed);
    expect(moves).toBeLessThan(0.6 * afresh);
  });
});
