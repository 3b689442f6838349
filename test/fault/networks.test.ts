import { NETWORK_PLAN } from './drill-plans.ts';
import { testScenarios } from './drill-suite.ts';

testScenarios('services', NETWORK_PLAN);
