import type { Config } from '../config/config.ts';
import type { NodeSettings } from './node.ts';

/** What the doors of a node go by, out of its configuration. */
export function ingestSettingsOf({ ingest, producers }: Pick<Config, 'ingest' | 'producers'>): NodeSettings['ingest'] {
  const { maxConnectionsPerProducer, maxBatchChanges, bytesPerSecond, changesPerSecond, ...settings } = ingest;
  return {
    ...settings,
    limits: { maxConnections: maxConnectionsPerProducer, maxBatchChanges, bytesPerSecond, changesPerSecond },
    producerLimits: new Map(producers.map(({ name, limits }) => [name, limits ?? {}])),
  };
}
