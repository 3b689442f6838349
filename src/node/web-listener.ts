import type { Logger } from '../admin/log.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { SyncError } from '../core/errors.ts';
import type { TlsDoorOptions } from '../ingest/introductions.ts';
import { chooseEngine } from '../ingest/web/choose-engine.ts';
import type { WebEngine } from '../ingest/web/engine.ts';
import { createWebSocketDoor, type WebSocketRooms } from '../ingest/web/websocket.ts';

export interface WebListenerOptions extends WebSocketRooms {
  readonly clock: Clock;
  readonly logger: Logger;
  /** A connection from a balancer is closed, because its PROXY protocol header is missing or wrong. */
  readonly refused: (balancer: string, error: SyncError) => void;
  /** A connection from `address` is turned away, because it has too many. */
  readonly crowded: (address: string, error: SyncError) => void;
  /** Undefined where no door speaks it. */
  readonly tls: TlsDoorOptions | undefined;
}

const MIB = 1024 * 1024;

/** The listener for WebSocket and HTTP as it is configured; undefined when it is turned off. @throws {SyncError} `engine_unavailable`. */
export function createWebListener({ listen: { web }, ingest }: Config, options: WebListenerOptions): WebEngine | undefined {
  if (!web.enabled) return undefined;
  const { host, port, engine, proxyFrom, origins, hosts } = web;
  const { clock, logger, refused, crowded } = options;
  const { maxConnections, maxConnectionsPerAddress, maxFrameBytes, creditBytes, maxInFlightBytes, heartbeatMs } = ingest;
  return chooseEngine(
    engine,
    {
      ...{ host, port, maxConnections, maxConnectionsPerAddress, heartbeatMs, clock, crowded },
      log: logger,
      // The longest frame, with what else a client may want to send along.
      maxMessageBytes: maxFrameBytes + MIB,
      maxUnfinishedBytes: maxInFlightBytes,
      // What is on the way may have to be sent again: once what credit allows, and once more after a REWIND.
      maxHeldBytes: 2 * creditBytes + maxFrameBytes + MIB,
      proxy: { from: proxyFrom, clock, refused },
      tls: web.tls ? options.tls : undefined,
    },
    createWebSocketDoor({ origins, hosts }, options),
  );
}
