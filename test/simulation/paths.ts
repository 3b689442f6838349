import type { Installation } from './installation.ts';
import type { RedisGroup } from './redis-group.ts';
import type { Host } from './world/host.ts';

type Path = readonly [string, string];

/** Pairs of hosts that talk to each other. */
export function pathsOf({ nodes }: Installation, group: RedisGroup, clients: readonly Host[]): readonly Path[] {
  const [, ...others] = group.servers.map(({ host }) => host.name);
  const sentinels = group.sentinels.map(({ host }) => host.name);
  const all = ['node', 'rival', ...nodes.slice(1)];
  return [
    ...between(all, ['redis', 'mariadb']),
    ...between(
      clients.map(({ name }) => name),
      nodes,
    ),
    ...between([...all, ...sentinels], others),
    ...between([...all, 'redis'], sentinels),
    ...between(['redis'], others),
    ...(group.administrator === undefined ? [] : between(['administrator'], ['redis', ...others])),
    ...(group.administrator === undefined ? [] : others.flatMap((one, i) => between([one], others.slice(i + 1)))),
  ];
}

function between(some: readonly string[], others: readonly string[]): Path[] {
  return some.flatMap((one) => others.map((other) => [one, other] as const));
}
