import { expect, test } from 'vitest';
import { VirtualClock } from '../../../test/support/virtual-clock.ts';
import { chooseEngine, type EngineChoice } from './choose-engine.ts';
import type { WebDoor } from './engine.ts';
import type { WebEngineOptions } from './engine-options.ts';
import { loadUws } from './uws.ts';

const DOOR: WebDoor = { judge: () => undefined, connected: () => {}, requested: () => {} };
const uws = loadUws();
const loads = typeof uws !== 'string';

function choose(choice: EngineChoice, proxyFrom: readonly string[] = []): { engine: string; line: string } {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const log = { info: (_: object, message: string) => void lines.push(message), warn: () => {}, error: () => {} };
  const limits = {
    maxConnections: 1,
    maxConnectionsPerAddress: 1,
    crowded: () => {},
    maxMessageBytes: 1,
    maxUnfinishedBytes: 1,
    maxHeldBytes: 1,
    heartbeatMs: 1,
  };
  const options: WebEngineOptions = {
    host: '127.0.0.1',
    port: 0,
    ...limits,
    clock,
    log,
    proxy: { from: proxyFrom, clock, refused: () => {} },
  };
  const { name } = chooseEngine(choice, options, DOOR);
  return { engine: name, line: lines.join() };
}

test('ws is taken when it is asked for', () => {
  expect(choose('ws')).toEqual({ engine: 'ws', line: 'web engine: ws on node:http, as listen.web.engine says' });
});

test('auto takes ws behind a balancer', () => {
  expect(choose('auto', ['10.0.0.5'])).toEqual({
    engine: 'ws',
    line: 'web engine: ws on node:http, because listen.web.proxyFrom is set',
  });
});

test.runIf(loads)('where uWebSockets.js loads, auto and uws take it', () => {
  expect(choose('auto')).toEqual({ engine: 'uws', line: 'web engine: uWebSockets.js, because it loads here' });
  expect(choose('uws', ['10.0.0.5'])).toEqual({ engine: 'uws', line: 'web engine: uWebSockets.js, as listen.web.engine says' });
});

test.skipIf(loads)('where it does not, auto takes ws and says why in a line, and uws is an error', () => {
  const { engine, line } = choose('auto');
  expect(engine).toBe('ws');
  expect(line).toBe(`web engine: ws on node:http, because uWebSockets.js does not load here: ${String(uws)}`);
  expect(line).not.toContain('\n');
  expect(() => choose('uws')).toThrow(
    expect.objectContaining({ code: 'engine_unavailable', message: expect.stringContaining(String(uws)) as string }),
  );
});
