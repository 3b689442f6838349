/** By name of a scenario, how often its fault is injected. */
export type DrillPlan = Readonly<Record<string, number>>;

/** What the tests run: each scenario a few times. `npm run prove` does it longer. */
export const KILL_PLAN: DrillPlan = {
  'server-kill': 12,
  'server-kill-tls': 6,
  'server-kill-at': 8,
  'server-lose-at': 3,
  'server-delay-at': 1,
  'server-stop': 5,
  'server-zombie-at': 1,
  'thread-exit': 3,
  'client-kill': 14,
  'client-kill-at': 6,
  'client-stop': 1,
  'client-old-spool': 2,
  'redis-kill': 2,
  'redis-lose': 1,
  'redis-flush': 2,
  'redis-stop': 1,
  'mariadb-kill': 2,
  'mariadb-stop': 1,
};

export const NETWORK_PLAN: DrillPlan = {
  'commit-cut': 20,
  'client-server-cut': 6,
  'client-server-stalled': 3,
  'client-server-torn': 2,
  'client-server-corrupted': 6,
  'client-server-blackhole': 1,
  'server-redis-cut': 6,
  'server-redis-stalled': 3,
  'server-redis-torn': 2,
  'server-redis-corrupted': 4,
  'server-redis-blackhole': 1,
  'server-mariadb-cut': 4,
  'server-mariadb-stalled': 1,
  'server-mariadb-torn': 1,
  'server-mariadb-blackhole': 1,
  'hostile-clients': 1,
  'spool-disk-full': 1,
  'redis-disk-full': 1,
  'mariadb-disk-full': 1,
};

export const EMBEDDED_PLAN: DrillPlan = {
  'server-kill-embedded': 3,
  'server-kill-at-embedded': 3,
  'server-lose-at-embedded': 1,
  'server-delay-at-embedded': 1,
  'server-stop-embedded': 1,
  'thread-exit-embedded': 1,
};

/** Scenarios of a pair that share a world: one in standby mode, and one of active nodes. */
export const PAIR_PLANS: readonly DrillPlan[] = [
  {
    'pair-node-kill': 1,
    'pair-haproxy-kill': 1,
    'pair-rolling-restart': 1,
    'pair-mariadb-kill': 1,
    'pair-zombie': 1,
    'pair-redis-kill': 1,
  },
  { 'pair-node-joins': 1, 'pair-node-kill-active': 1 },
];
