import { EMBEDDED_PLAN } from './drill-plans.ts';
import { testScenarios } from './drill-suite.ts';

testScenarios('embedded', EMBEDDED_PLAN);
