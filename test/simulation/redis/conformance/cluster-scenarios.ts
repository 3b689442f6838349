import { ErrorReply, type Reply } from '../replies.ts';
import type { ClusterScript } from './cluster-script.ts';

/** One after the other on the same cluster, in this order: each begins where the one before ended. */
export type ClusterScenario = (script: ClusterScript) => Promise<void>;

const WRITE = "#!lua\nfor i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1]) end return #KEYS";
const READ =
  "#!lua flags=no-writes\nlocal found = {} for i, key in ipairs(KEYS) do found[i] = redis.call('GET', key) or '' end return found";
const PLAIN = "return redis.call('GET', KEYS[1])";
const FOREIGN = "#!lua\nreturn redis.call('GET', ARGV[1])";
/** Of `a`: of server 2; of `b`: of server 0. As CLUSTER KEYSLOT says, which is compared. */
const [SLOT, OF_A, NOT_OF_A] = ['15495', 2, 0];
const READS: readonly (readonly string[])[] = [
  ['GET', '{a}1'],
  ['GET', '{a}3'],
  ['DEL', '{a}3'],
  ['DEL', '{a}3', '{a}4'],
  ['EVAL', READ, '1', '{a}1'],
  ['EVAL', READ, '2', '{a}1', '{a}2'],
  ['EVAL', READ, '2', '{a}1', '{a}3'],
  ['EVAL', READ, '2', '{a}3', '{a}1'],
  ['EVAL', READ, '2', '{a}3', '{a}4'],
  ['EVAL', READ, '2', '{a}3', '{a}3'],
  ['EVAL', PLAIN, '1', '{a}1'],
  ['EVAL', PLAIN, '1', '{a}3'],
  ['EVALSHA', '0'.repeat(40), '1', '{a}1'],
  ['EVALSHA', '0'.repeat(40), '1', '{a}3'],
  ['EVAL', FOREIGN, '0', '{a}1'],
  ['EVAL', FOREIGN, '0', '{a}3'],
  ['EVAL', FOREIGN, '1', '{a}1', '{a}3'],
  ['EVAL', FOREIGN, '1', '{a}1', '{a}2'],
  ['EVAL', FOREIGN, '1', '{a}1', 'b'],
  ['EVAL', READ, '2', '{a}1', 'b'],
  ['HGET', '{a}1', 'field'],
  ['GET'],
  ['EVAL', PLAIN, '2', '{a}1'],
];

export const CLUSTER_SCENARIOS: Readonly<Record<string, ClusterScenario>> = {
  'slots that stay where they are': async (script) => {
    for (const key of ['a', 'b', '{a}1', 'x{a}y{b}', '{}a', 'x{', 'syncline:{3}:list:main', 'é'])
      await script.run(0, 'CLUSTER', 'KEYSLOT', key);
    await script.run(OF_A, 'EVAL', WRITE, '2', '{a}1', '{a}2', 'x');
    for (const server of [OF_A, NOT_OF_A, OF_A + 3, NOT_OF_A + 3]) await reads(script, server);
    await asked(script, NOT_OF_A);
    for (const args of [['PING'], ['DBSIZE'], ['SCRIPT', 'EXISTS', '0'.repeat(40)], ['CLUSTER', 'COUNTKEYSINSLOT', SLOT]])
      await script.run(NOT_OF_A + 3, ...args);
  },

  'a replica that a connection reads from': async (script) => {
    await arrived(script);
    await script.run(OF_A + 3, 'READONLY');
    await reads(script, OF_A + 3);
    await script.run(OF_A + 3, 'SET', '{a}1', 'y');
    await script.run(OF_A + 3, 'EVAL', WRITE, '1', '{a}1', 'y');
    await script.run(OF_A + 3, 'EVAL', "return redis.call('SET', KEYS[1], '1')", '1', '{a}1');
    await script.run(OF_A + 3, 'GET', 'b');
    await script.run(OF_A + 3, 'READWRITE');
    await script.run(OF_A + 3, 'GET', '{a}1');
    await script.run(OF_A + 3, 'CLUSTER', 'SETSLOT', SLOT, 'STABLE');
  },

  'what cannot be handed over': async (script) => {
    await script.run(NOT_OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'MIGRATING', `id of ${OF_A}`);
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'IMPORTING', `id of ${NOT_OF_A}`);
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'MIGRATING', 'nobody');
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'MIGRATING', `id of ${NOT_OF_A + 3}`);
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'NODE', `id of ${NOT_OF_A + 3}`);
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'NODE', 'nobody');
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'NODE', `id of ${NOT_OF_A}`);
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', '16384', 'STABLE');
    await script.run(OF_A, 'MIGRATE', `at ${NOT_OF_A}`, '{a}3', '0', '1000');
    await script.run(NOT_OF_A, 'MIGRATE', `at ${OF_A}`, '{a}1', '0', '1000');
  },

  'a slot that is being handed over': async (script) => {
    await script.run(NOT_OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'IMPORTING', `id of ${OF_A}`);
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'MIGRATING', `id of ${NOT_OF_A}`);
    for (const server of [OF_A, NOT_OF_A]) await script.nodes(server);
    await bothSides(script);
    // One of two keys has gone.
    await script.run(OF_A, 'MIGRATE', `at ${NOT_OF_A}`, '{a}2', '0', '1000');
    await bothSides(script);
    await script.run(OF_A, 'MIGRATE', `at ${NOT_OF_A}`, '{a}2', '0', '1000');
    await script.run(OF_A, 'CLUSTER', 'COUNTKEYSINSLOT', SLOT);
    await script.run(NOT_OF_A, 'CLUSTER', 'GETKEYSINSLOT', SLOT, '10');
    // It is there again.
    await script.run(NOT_OF_A, 'ASKING');
    await script.run(NOT_OF_A, 'SET', '{a}1', 'other');
    await script.run(OF_A, 'MIGRATE', `at ${NOT_OF_A}`, '{a}1', '0', '1000');
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'NODE', `id of ${NOT_OF_A}`);
    await script.run(OF_A, 'MIGRATE', `at ${NOT_OF_A}`, '{a}1', '0', '1000', 'REPLACE');
    await bothSides(script);
  },

  'ASKING holds for the next command, whatever that is': async (script) => {
    await script.run(NOT_OF_A, 'ASKING');
    await script.run(NOT_OF_A, 'PING');
    await script.run(NOT_OF_A, 'GET', '{a}1');
    await script.run(NOT_OF_A, 'ASKING');
    await script.run(NOT_OF_A, 'GET');
    await script.run(NOT_OF_A, 'GET', '{a}1');
    await script.run(NOT_OF_A, 'ASKING');
    await script.run(NOT_OF_A, 'EVALSHA', '0'.repeat(40), '1', '{a}1');
    await script.run(NOT_OF_A, 'EVAL', PLAIN, '1', '{a}1');
    await script.run(NOT_OF_A, 'ASKING');
    await script.run(`${NOT_OF_A}/other`, 'GET', '{a}1');
    await script.run(NOT_OF_A, 'GET', '{a}1');
  },

  'a slot that was handed over, and everybody hears of it': async (script) => {
    await script.run(NOT_OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'NODE', `id of ${NOT_OF_A}`);
    await reads(script, NOT_OF_A);
    await script.run(OF_A, 'CLUSTER', 'SETSLOT', SLOT, 'NODE', `id of ${NOT_OF_A}`);
    await everybodySays(script, NOT_OF_A);
    for (const server of [OF_A, NOT_OF_A, OF_A + 3]) await reads(script, server);
    for (const server of [OF_A, NOT_OF_A, 1]) await script.nodes(server);
  },

  'a replica whose master was killed takes over, and the old one follows it': async (script) => {
    await arrived(script);
    await script.world.kill(NOT_OF_A);
    script.forget(NOT_OF_A);
    while (messageOf(await script.ask(NOT_OF_A + 3, 'GET', '{a}1')).startsWith('MOVED')) await script.world.pass();
    await reads(script, NOT_OF_A + 3);
    for (const server of [OF_A, 1, OF_A + 3])
      while (!messageOf(await script.ask(server, 'GET', 'b')).endsWith(script.world.addresses[NOT_OF_A + 3]!.join(':')))
        await script.world.pass();
    await script.world.restart(NOT_OF_A);
    await everybodySays(script, NOT_OF_A + 3);
    const isSettled = (text: string) => !/fail|disconnected|connect /.test(text.replaceAll(' connected', ''));
    await script.everywhere((reply) => isSettled(String(reply)), 'CLUSTER', 'NODES');
    for (const server of [OF_A, NOT_OF_A, NOT_OF_A + 3]) await script.nodes(server);
    await reads(script, NOT_OF_A);
    await script.run(NOT_OF_A, 'READONLY');
    while (String(await script.ask(NOT_OF_A, 'GET', '{a}1')) !== 'x') await script.world.pass();
    await script.run(NOT_OF_A, 'GET', '{a}1');
  },

  'masters that are not the majority refuse, and the last one does not take over': async (script) => {
    for (const server of [OF_A, OF_A + 3, 1]) {
      await script.world.kill(server);
      script.forget(server);
    }
    for (const server of [NOT_OF_A, NOT_OF_A + 3, 4])
      while (!messageOf(await script.ask(server, 'GET', '{a}1')).startsWith('CLUSTERDOWN')) await script.world.pass();
    for (const server of [NOT_OF_A, NOT_OF_A + 3, 4]) await reads(script, server);
    await script.run(NOT_OF_A + 3, 'PING');
  },
};

async function reads(script: ClusterScript, server: number): Promise<void> {
  for (const args of READS) await script.run(server, ...args);
}

async function asked(script: ClusterScript, server: number): Promise<void> {
  for (const args of READS) {
    await script.run(server, 'ASKING');
    await script.run(server, ...args);
  }
}

async function bothSides(script: ClusterScript): Promise<void> {
  await reads(script, OF_A);
  await asked(script, OF_A);
  await reads(script, NOT_OF_A);
  await asked(script, NOT_OF_A);
}

/** Waits until replicas have what their masters have. */
async function arrived(script: ClusterScript): Promise<void> {
  for (const server of [0, 1, 2]) await script.ask(`${server}/waiting`, 'EVAL', "return redis.call('PUBLISH', 'nobody', '')", '0');
  const isSame = async (server: number) => (await script.ask(server, 'DBSIZE')) === (await script.ask(server + 3, 'DBSIZE'));
  for (const server of [0, 1, 2]) while (!(await isSame(server))) await script.world.pass();
}

/** Waits until all nodes lead to one. */
async function everybodySays(script: ClusterScript, server: number): Promise<void> {
  const place = script.world.addresses[server]!.join(':');
  await script.everywhere(
    (reply, asked) => (asked === server ? !(reply instanceof ErrorReply) : messageOf(reply).endsWith(place)),
    'GET',
    '{a}1',
  );
}

function messageOf(reply: Reply): string {
  return reply instanceof ErrorReply ? reply.message : '';
}
