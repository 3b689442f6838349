import { CLUSTER_FAULTS } from './cluster-faults.ts';
import { DAMAGE_FAULTS } from './damage-faults.ts';
import { type Fault, FAULTS } from './faults.ts';
import type { Installation } from './installation.ts';
import { SENTINEL_FAULTS } from './sentinel-faults.ts';
import { MARIADB_FAULTS, REDIS_FAULTS } from './server-faults.ts';

/** Everything that can happen to an installation. */
export function faultsFor({ mode, sentinels }: Installation): readonly Fault[] {
  const ofOne = [...FAULTS, ...REDIS_FAULTS, ...MARIADB_FAULTS, ...DAMAGE_FAULTS];
  const all = mode === 'standalone' ? ofOne : [...ofOne, ...CLUSTER_FAULTS];
  if (sentinels === undefined) return all;
  const isFit = ({ unfitFor }: Fault) =>
    unfitFor === undefined || (unfitFor === 'replicas that are waited for' && sentinels.replicas === 0);
  return [...all, ...SENTINEL_FAULTS].filter(isFit);
}
