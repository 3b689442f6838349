import { describe, expect, test } from 'vitest';
import { CLUSTER_SCENARIOS } from '../conformance/cluster-scenarios.ts';
import { ClusterScript } from '../conformance/cluster-script.ts';
import { realClusterWorld, simulatedClusterWorld, type ClusterWorld } from '../conformance/cluster-worlds.ts';
import { comparable } from '../conformance/subjects.ts';

describe.skipIf(!comparable())('simulated nodes of a cluster answer as those of Redis 7.0 do', () => {
  test('in every state of a slot, and after a promotion', { timeout: 180_000 }, async () => {
    const expected = await play(await realClusterWorld());
    const found = await play(await simulatedClusterWorld());
    for (const [name, lines] of Object.entries(expected)) {
      expect(lines.length, name).toBeGreaterThan(5);
      expect(found[name], name).toEqual(lines);
    }
  });
});

async function play(world: ClusterWorld): Promise<Record<string, readonly string[]>> {
  try {
    const script = await ClusterScript.begin(world);
    const transcripts: Record<string, readonly string[]> = {};
    for (const [name, scenario] of Object.entries(CLUSTER_SCENARIOS)) {
      await scenario(script);
      transcripts[name] = script.transcript.splice(0);
    }
    return transcripts;
  } finally {
    await world.close();
  }
}
