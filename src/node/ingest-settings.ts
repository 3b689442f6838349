import type { Config } from '../config/config.ts';
import { connectionsThatFit } from './descriptors.ts';
import type { NodeSettings } from './node.ts';

/** What the doors of a node go by, out of its configuration. */
export function ingestSettingsOf({ ingest, producers }: Pick<Config, 'ingest' | 'producers'>): NodeSettings['ingest'] {
  const { maxConnectionsPerProducer, maxBatchChanges, bytesPerSecond, changesPerSecond, ...settings } = ingest;
  return {
    ...settings,
    maxConnections: connectionsThatFit(settings.maxConnections),
    limits: { maxConnections: maxConnectionsPerProducer, maxBatchChanges, bytesPerSecond, changesPerSecond },
    producerLimits: new Map(producers.map(({ name, limits }) => [name, limits ?? {}])),
  };
}
