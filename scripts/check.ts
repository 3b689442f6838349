/** `npm run check`: everything that can be said about the sources without running them. */
import { CHECKS, runStep } from './steps.ts';

const results = CHECKS.map((step) => runStep(step));
process.exitCode = results.every(Boolean) ? 0 : 1;
