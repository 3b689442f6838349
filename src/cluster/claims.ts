/**
 * How a node may ask for a lease: from whoever holds it (`take`: safe, because the sink is the fence), when nobody does
 * (`wait`), or not at all.
 */
export type Claim = 'take' | 'wait' | 'none';

/**
 * Of a pair, whoever holds the lease of partition 0 leads. That one is waited for; all others follow it, whoever has them.
 */
export function claimOfStandby(partition: number, leads: boolean): Claim {
  if (partition === 0) return 'wait';
  return leads ? 'take' : 'none';
}

/** Of many, each asks for what it is assigned. */
export function claimOfActive(partition: number, node: string, owners: readonly string[]): Claim {
  return owners[partition] === node ? 'wait' : 'none';
}
