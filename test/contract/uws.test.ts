import { expect, test } from 'vitest';
import { loadUws } from '../../src/ingest/web/uws.ts';
import { createUwsEngine } from '../../src/ingest/web/uws-engine.ts';
import { checkUwsBinary, newerLibc, runTestsUnder } from '../support/newer-libc.ts';
import { listenerContract } from './listener.contract.ts';
import { uwsSubject } from './listener-subjects.ts';
import { webEngineContract } from './web-engine.contract.ts';

/** Where it does not load, these files run once more in a process that has a newer C library. */
const FILES = ['test/contract/uws.test.ts', 'src/ingest/web/choose-engine.test.ts'];

checkUwsBinary();
const uws = loadUws();
if (typeof uws !== 'string') {
  listenerContract(uwsSubject());
  webEngineContract({ name: 'uws', createEngine: (options, door) => createUwsEngine(uws, options, door) });
} else {
  test('the contracts hold for uWebSockets.js under a newer C library', { timeout: 400_000 }, (context) => {
    const libc = newerLibc();
    if ('reason' in libc) {
      const reason = `uWebSockets.js does not load here (${uws}), and there is no newer C library for it: ${libc.reason}`;
      if (process.env['CI'] === 'true') throw new Error(reason);
      return context.skip(reason);
    }
    const { passed, failures } = runTestsUnder(libc.folder, FILES);
    expect(failures).toEqual([]);
    expect(passed).toBeGreaterThan(80);
    console.log(`uWebSockets.js does not load here (${uws}); with the C library of Debian 13 it passed ${passed} tests`);
  });
}
