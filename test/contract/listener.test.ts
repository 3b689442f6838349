import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { createNodeEngine } from '../../src/ingest/web/node-engine.ts';
import { createCertificate } from '../support/certificate.ts';
import { listenerContract } from './listener.contract.ts';
import { tcpSubject, tlsSubjects, wsSubject } from './listener-subjects.ts';
import { webEngineContract } from './web-engine.contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncline-listener-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const subject of [tcpSubject, wsSubject, ...tlsSubjects(createCertificate(folder, 'door'))]) listenerContract(subject);
webEngineContract({ name: 'ws', createEngine: createNodeEngine });
