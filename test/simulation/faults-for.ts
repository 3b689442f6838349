import { CLUSTER_FAULTS } from './cluster-faults.ts';
import { DAMAGE_FAULTS } from './damage-faults.ts';
import { type Fault, FAULTS } from './faults.ts';
import { isReplaceable, replicasOf, type Installation } from './installation.ts';
import { REDIS_CLUSTER_FAULTS } from './redis-cluster-faults.ts';
import { SENTINEL_FAULTS } from './sentinel-faults.ts';
import { MARIADB_FAULTS, REDIS_FAULTS } from './server-faults.ts';

/** Everything that can happen to an installation. */
export function faultsFor(installation: Installation): readonly Fault[] {
  const { mode, sentinels } = installation;
  const ofOne = [...FAULTS, ...REDIS_FAULTS, ...MARIADB_FAULTS, ...DAMAGE_FAULTS];
  const all = mode === 'standalone' ? ofOne : [...ofOne, ...CLUSTER_FAULTS];
  if (!isReplaceable(installation)) return all;
  const isFit = ({ unfitFor }: Fault) =>
    unfitFor === undefined || (unfitFor === 'replicas that are waited for' && replicasOf(installation) === 0);
  return [...all, ...(sentinels === undefined ? REDIS_CLUSTER_FAULTS : SENTINEL_FAULTS)].filter(isFit);
}
