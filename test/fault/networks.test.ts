import { testScenarios } from './drill-suite.ts';

testScenarios('services', {
  'commit-cut': 10,
  'client-server-cut': 6,
  'client-server-stalled': 3,
  'client-server-torn': 2,
  'client-server-corrupted': 4,
  'server-redis-cut': 6,
  'server-redis-stalled': 3,
  'server-redis-torn': 2,
  'server-mariadb-cut': 3,
  'hostile-clients': 1,
  'spool-disk-full': 1,
  'redis-disk-full': 1,
});
