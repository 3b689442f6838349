import { queueSubjects } from './queue-subjects.ts';
import { queueContract } from './queue.contract.ts';

for (const subject of queueSubjects()) queueContract(subject);
