import { testScenarios } from './drill-suite.ts';

testScenarios('services', {
  'server-kill': 10,
  'server-kill-at': 10,
  'server-lose-at': 3,
  'server-zombie-at': 3,
  'client-kill': 10,
  'client-kill-at': 10,
  'redis-kill': 5,
  'redis-lose': 2,
  'redis-flush': 3,
  'mariadb-kill': 5,
});
