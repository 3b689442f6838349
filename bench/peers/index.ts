/** What people use today for the same job. A contender here is measured by `npm run bench -- --only peers`. */
import type { Contender } from '../contender.ts';

export const peers: readonly Contender[] = [];
