import { testScenarios } from './drill-suite.ts';

testScenarios('services', {
  'server-kill': 4,
  'server-kill-at': 5,
  'server-lose-at': 3,
  'server-zombie-at': 3,
  'client-kill': 4,
  'client-kill-at': 5,
  'redis-kill': 3,
  'redis-lose': 2,
  'redis-flush': 3,
  'mariadb-kill': 3,
});
