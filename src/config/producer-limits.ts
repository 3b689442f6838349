import { z } from 'zod';
import { MAX_BATCH_CHANGES } from '../core/stream.ts';
import { KIB, optionalBytes, optionalInteger, TIB } from './option.ts';

/** `limits` of one producer. */
export const producerLimits = z
  .strictObject({
    maxConnections: optionalInteger([1, 100_000], {
      description: 'Connections of this producer at a time, instead of `ingest.maxConnectionsPerProducer`.',
      takesEffect: 'reload',
    }),
    maxBatchChanges: optionalInteger([1, MAX_BATCH_CHANGES], {
      description: 'Changes in one batch of this producer, instead of `ingest.maxBatchChanges`.',
      takesEffect: 'reload',
    }),
    bytesPerSecond: optionalBytes([KIB, TIB], {
      description: 'What this producer may send in a second, instead of `ingest.bytesPerSecond`.',
      takesEffect: 'reload',
    }),
    changesPerSecond: optionalInteger([1, 1_000_000_000], {
      description: 'Changes of this producer in a second, instead of `ingest.changesPerSecond`.',
      takesEffect: 'reload',
    }),
  })
  .optional()
  .meta({ description: 'What differs for this producer from the limits of all, which `ingest` holds.' });
