import { SyncError } from '../../core/errors.ts';
import type { WebDoor, WebEngine } from './engine.ts';
import type { WebEngineOptions } from './engine-options.ts';
import { createNodeEngine } from './node-engine.ts';
import { loadUws } from './uws.ts';
import { createUwsEngine } from './uws-engine.ts';

/** `listen.web.engine`. */
export type EngineChoice = 'auto' | 'uws' | 'ws';

/**
 * The engine that was asked for; with `auto` the faster one where it loads and does all that is configured. One line in the
 * log says which and why.
 * @throws {SyncError} `engine_unavailable` when uWebSockets.js was asked for and does not load.
 */
export function chooseEngine(choice: EngineChoice, options: WebEngineOptions, door: WebDoor): WebEngine {
  const { log, proxy, tls } = options;
  const use = (engine: WebEngine, reason: string) => {
    log.info({ engine: engine.name }, `web engine: ${engine.name === 'uws' ? 'uWebSockets.js' : 'ws on node:http'}, ${reason}`);
    return engine;
  };
  if (choice === 'ws') return use(createNodeEngine(options, door), 'as listen.web.engine says');
  // It knows version 2 of the PROXY protocol only, and answers what else comes before anybody here can count it.
  if (choice === 'auto' && proxy.from.length > 0) return use(createNodeEngine(options, door), 'because listen.web.proxyFrom is set');
  if (choice === 'auto' && tls !== undefined) return use(createNodeEngine(options, door), 'because this door speaks TLS');
  const uws = loadUws();
  if (typeof uws !== 'string')
    return use(createUwsEngine(uws, options, door), choice === 'uws' ? 'as listen.web.engine says' : 'because it loads here');
  if (choice === 'auto') return use(createNodeEngine(options, door), `because uWebSockets.js does not load here: ${uws}`);
  throw new SyncError(
    'engine_unavailable',
    `listen.web.engine is uws, and uWebSockets.js does not load here (${uws}); install it as docs/websocket.md says, or set listen.web.engine to ws or auto`,
  );
}
