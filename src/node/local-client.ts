import { createMemorySpool } from '../client/memory-spool.ts';
import { Client, type ClientSettings } from '../client/sync-client.ts';
import type { Clock } from '../core/clock.ts';
import type { Dialer } from '../core/network.ts';
import type { Random } from '../core/random.ts';
import type { Sessions } from '../ingest/sessions.ts';
import { createLoopback } from './loopback.ts';

export interface LocalClientParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly sessions: Pick<Sessions, 'accept'>;
}

/** The most that is in a batch, and how long one waits to be filled. */
const BATCH_BYTES = 64 * 1024;
const LINGER_MS = 5;

/**
 * A client of the SDK within the server, which its own sessions take in as `producer`, for changes that come without a
 * stream. It holds them in memory, in the stream of `restored` if there is one, and is not started yet.
 */
export function createLocalClient(
  { clock, random, sessions }: LocalClientParts,
  producer: string,
  settings: Pick<ClientSettings, 'agent' | 'onRegressed' | 'bufferBytes'> & Partial<ClientSettings>,
  restored?: Parameters<typeof createMemorySpool>[0],
): Client {
  const dialer: Dialer = {
    connect: async () => {
      const { client, server } = createLoopback(clock, { producer });
      sessions.accept(server);
      return client;
    },
  };
  return new Client(
    { clock, random, dialer, spool: createMemorySpool(restored) },
    { token: '', producer, batchBytes: BATCH_BYTES, lingerMs: LINGER_MS, ...settings },
  );
}
