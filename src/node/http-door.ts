import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { AccessObserver, Log } from '../ingest/context.ts';
import { createHttpApi } from '../ingest/http/http-api.ts';
import type { WebExchange } from '../ingest/web/engine.ts';
import type { Queue } from '../queue/queue.ts';
import { ClientWriters } from './change-writers.ts';
import type { Node } from './node.ts';

/** The HTTP API of a node. */
export interface HttpDoor {
  /** For `WebDoor.requested`: answers a request. */
  readonly requested: (exchange: WebExchange) => void;
  status(): HttpDoorStatus;
  /** Takes nothing more, and lets what was taken reach the queue. To be closed before the node. */
  close(): Promise<void>;
}

export interface HttpDoorStatus {
  /** Streams that requests have or had, and that are open. */
  readonly streams: number;
  /** Bodies, and changes that are not applied yet; at most `listen.web.bufferBytes`. */
  readonly usedBytes: number;
}

export interface HttpDoorParts {
  readonly node: Pick<Node, 'sessions' | 'facts' | 'takesRequests' | 'authenticator'>;
  readonly queue: Pick<Queue, 'admission'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Told of who sends, and of requests whose token lets nobody in. */
  readonly access?: AccessObserver;
  /** The section `listen.web` of the configuration. */
  readonly web: { readonly maxBodyBytes: number; readonly bufferBytes: number; readonly origins: readonly string[] };
  readonly version: string;
}

export function openHttpDoor({ node, queue, clock, random, log, access, web, version }: HttpDoorParts): HttpDoor {
  const { maxBodyBytes, bufferBytes, origins } = web;
  const writers = new ClientWriters({ node, queue, clock, random, bufferBytes });
  return {
    requested: createHttpApi({
      ...{ clock, log, access, writers, maxBodyBytes, origins, version },
      get authenticator() {
        return node.authenticator;
      },
    }),
    status: () => ({ streams: writers.streamCount, usedBytes: writers.memory.usedBytes }),
    close: () => writers.close(),
  };
}
