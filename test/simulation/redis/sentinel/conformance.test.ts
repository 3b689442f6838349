import { describe, expect, test } from 'vitest';
import { realSentinelWorld, SENTINELS, simulatedSentinelWorld, type SentinelWorld } from '../conformance/sentinel-worlds.ts';
import { comparable } from '../conformance/subjects.ts';
import { ErrorReply, type Reply } from '../replies.ts';

const FIELDS = ['name', 'ip', 'flags', 'num-slaves', 'num-other-sentinels', 'quorum', 'down-after-milliseconds', 'failover-timeout'];

describe.skipIf(!comparable())('simulated Sentinels answer as those of Redis 7.0 do', () => {
  test('before, during and after a failover', { timeout: 180_000 }, async () => {
    const expected = await play(await realSentinelWorld());
    expect(await play(await simulatedSentinelWorld())).toEqual(expected);
    expect(expected.at(-1)).toBe('switches: main server 0 server 1');
  });
});

async function play(world: SentinelWorld): Promise<string[]> {
  const transcript: string[] = [];
  const note = (line: string) => transcript.push(masked(world, line));
  const everywhere = async (condition: (sentinel: number) => Promise<boolean>) => {
    for (let i = 0; i < SENTINELS; i++) while (!(await condition(i))) await world.pass();
  };
  const named = async (sentinel: number) => String(await world.ask(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main'));
  const fields = async (sentinel: number) => fieldsOf(await world.ask(sentinel, 'SENTINEL', 'MASTER', 'main'));
  const look = async () => {
    for (let i = 0; i < SENTINELS; i++) {
      note(`named: ${(await named(i)).replace(',', ' ')}`);
      const all = await fields(i);
      note(FIELDS.map((field) => `${field} ${all.get(field)}`).join(', '));
      const replicas = (await world.ask(i, 'SENTINEL', 'REPLICAS', 'main')) as Reply[];
      note(`replicas: ${replicas.map((reply) => ['ip', 'port'].map((field) => fieldsOf(reply).get(field)).join(' ')).join(', ')}`);
      note(`Sentinels: ${((await world.ask(i, 'SENTINEL', 'SENTINELS', 'main')) as Reply[]).length}`);
    }
  };
  try {
    const isKnown = (all: ReadonlyMap<string, string>) => all.get('num-slaves') === '1' && all.get('num-other-sentinels') === '2';
    await everywhere(async (i) => isKnown(await fields(i)));
    await look();
    for (const args of [
      ['GET-MASTER-ADDR-BY-NAME', 'other'],
      ['MASTER', 'other'],
      ['REPLICAS', 'other'],
    ]) {
      const reply = await world.ask(0, 'SENTINEL', ...args);
      note(`${args.join(' ')}: ${reply instanceof ErrorReply ? `-${reply.message}` : String(reply)}`);
    }
    await world.kill(0);
    await everywhere(async (i) => (await named(i)) === world.addresses[1]!.join());
    // The epoch of the configuration comes with the switch itself, or a little later.
    await everywhere(async (i) => Number((await fields(i)).get('config-epoch')) > 0 && (await fields(i)).get('flags') === 'master');
    await look();
    note(`server 1: ${String(((await world.role(1)) as Reply[])[0])}`);
    await world.restart(0);
    while (((await world.role(0)) as Reply[])[0] !== 'slave') await world.pass();
    note(`server 0 follows ${((await world.role(0)) as Reply[]).slice(1, 3).join(' ')}`);
    await look();
    note(`switches: ${world.switches.join('; ')}`);
    return transcript;
  } finally {
    await world.close();
  }
}

function fieldsOf(reply: Reply): ReadonlyMap<string, string> {
  const texts = reply as readonly string[];
  return new Map(texts.flatMap((text, i) => (i % 2 === 0 ? [[text, texts[i + 1]!] as const] : [])));
}

/** Addresses are whatever they are. */
function masked(world: SentinelWorld, line: string): string {
  let text = line;
  for (const [i, [host, port]] of world.addresses.entries()) text = text.replaceAll(`${host} ${port}`, `server ${i}`);
  return text.replaceAll(/ip (127\.0\.0\.1|[ab])\b/g, 'ip of it');
}
