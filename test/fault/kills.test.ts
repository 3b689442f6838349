import { KILL_PLAN } from './drill-plans.ts';
import { testScenarios } from './drill-suite.ts';

testScenarios('services', KILL_PLAN);
