import type { Connection } from '../../core/network.ts';
import type { RequestHead, WebDoor, WebExchange, WebResponse } from './engine.ts';
import { problem } from './problem.ts';

/** Where connections are asked for. */
export const WEBSOCKET_PATH = '/ws';

export interface WebSocketOptions {
  /** The pages that browsers may connect from, such as `https://shop.example`. */
  readonly origins: readonly string[];
  /** The names that this server may be called by in `Host`, without port, in lower case; none means any. */
  readonly hosts: readonly string[];
}

/** What is behind the door. */
export interface WebSocketRooms {
  accept(connection: Connection): void;
  /** Requests other than those for {@link WEBSOCKET_PATH}. */
  requested(exchange: WebExchange): void;
}

/** The door for frames over WebSocket, which leaves every other request to whom they are for. */
export function createWebSocketDoor({ origins, hosts }: WebSocketOptions, rooms: WebSocketRooms): WebDoor {
  const allowedOrigins = new Set(origins);
  const allowedHosts = new Set(hosts);
  return {
    judge: (head) => judgeHost(head, allowedHosts) ?? judgeUpgrade(head, allowedOrigins),
    connected: (connection) => rooms.accept(connection),
    requested(exchange) {
      const refusal = judgeHost(exchange, allowedHosts);
      if (refusal !== undefined) return exchange.respond(refusal);
      if (exchange.path !== WEBSOCKET_PATH) return rooms.requested(exchange);
      const headers = { upgrade: 'websocket', connection: 'upgrade' };
      exchange.respond(problem(426, `${WEBSOCKET_PATH} is for WebSocket connections; ask for an upgrade`, headers));
    },
  };
}

/** The answer to requests that nobody is there for. */
export function notFound({ path }: RequestHead): WebResponse {
  return problem(404, `there is nothing at ${path.slice(0, 200)}`);
}

/** A page that calls its own name another address of this machine must not reach us with it (DNS rebinding). */
function judgeHost(head: RequestHead, allowed: ReadonlySet<string>): WebResponse | undefined {
  if (allowed.size === 0) return undefined;
  const host = (head.header('host') ?? '').toLowerCase().replace(/:\d+$/, '');
  return allowed.has(host) ? undefined : problem(403, 'the name in Host is none of listen.web.hosts');
}

function judgeUpgrade(head: RequestHead, allowed: ReadonlySet<string>): WebResponse | undefined {
  if (head.path !== WEBSOCKET_PATH) return notFound(head);
  // Browsers always say which page connects; whoever says nothing is no browser.
  const origin = head.header('origin');
  if (origin === undefined || allowed.has(origin)) return undefined;
  return problem(403, 'pages of this origin may not connect; listen.web.origins names those that may');
}
