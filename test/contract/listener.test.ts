import { createNodeEngine } from '../../src/ingest/web/node-engine.ts';
import { listenerContract } from './listener.contract.ts';
import { tcpSubject, wsSubject } from './listener-subjects.ts';
import { webEngineContract } from './web-engine.contract.ts';

for (const subject of [tcpSubject, wsSubject]) listenerContract(subject);
webEngineContract({ name: 'ws', createEngine: createNodeEngine });
