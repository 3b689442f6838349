import { testScenarios } from './drill-suite.ts';

testScenarios('embedded', {
  'server-kill-embedded': 4,
  'server-kill-at-embedded': 6,
  'server-delay-at-embedded': 2,
});
