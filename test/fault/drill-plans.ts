/** By name of a scenario, how often its fault is injected. */
export type DrillPlan = Readonly<Record<string, number>>;

/** What the tests run: each scenario a few times. `npm run prove` does it longer. */
export const KILL_PLAN: DrillPlan = {
  'server-kill': 20,
  'server-kill-at': 10,
  'server-lose-at': 3,
  'server-delay-at': 1,
  'server-zombie-at': 3,
  'client-kill': 20,
  'client-kill-at': 10,
  'redis-kill': 5,
  'redis-lose': 2,
  'redis-flush': 3,
  'mariadb-kill': 5,
};

export const NETWORK_PLAN: DrillPlan = {
  'commit-cut': 20,
  'client-server-cut': 6,
  'client-server-stalled': 3,
  'client-server-torn': 2,
  'client-server-corrupted': 6,
  'server-redis-cut': 6,
  'server-redis-stalled': 3,
  'server-redis-torn': 2,
  'server-redis-corrupted': 4,
  'server-mariadb-cut': 4,
  'server-mariadb-stalled': 1,
  'server-mariadb-torn': 1,
  'hostile-clients': 1,
  'spool-disk-full': 1,
  'redis-disk-full': 1,
};

export const EMBEDDED_PLAN: DrillPlan = {
  'server-kill-embedded': 5,
  'server-kill-at-embedded': 5,
  'server-lose-at-embedded': 1,
  'server-delay-at-embedded': 1,
};
