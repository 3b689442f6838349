import { crc32 } from 'node:zlib';

/**
 * Which node each partition belongs to: index = partition. A pure function of who is there, in whatever order, so that
 * every node computes the same.
 *
 * Each node has as many partitions as any other, or one more. Nodes are ranked by a digest for each partition, and a
 * partition goes to the highest that has room; so when a node comes or goes, the ranks of the others stay, and few
 * partitions move that need not.
 */
export function assignPartitions(nodes: readonly string[], partitionCount: number): string[] {
  const owners: string[] = Array.from({ length: partitionCount });
  const [least, extra] = [Math.floor(partitionCount / nodes.length), partitionCount % nodes.length];
  const counts = new Map<string, number>();
  let larger = 0;
  const pairs = nodes.flatMap((node) =>
    Array.from({ length: partitionCount }, (_, partition) => ({ node, partition, rank: crc32(`${partition} ${node}`) })),
  );
  pairs.sort((a, b) => b.rank - a.rank || a.partition - b.partition || (a.node < b.node ? -1 : 1));
  for (const { node, partition } of pairs) {
    if (owners[partition] !== undefined) continue;
    const count = counts.get(node) ?? 0;
    if (count > least || (count === least && larger === extra)) continue;
    if (count === least) larger++;
    owners[partition] = node;
    counts.set(node, count + 1);
  }
  return owners;
}
