import { beforeEach, expect, test } from 'vitest';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { Host } from '../../world/host.ts';
import { Network } from '../../world/network.ts';
import { Timeline } from '../../world/timeline.ts';
import { Together } from '../../world/wire.ts';
import { ErrorReply, type Reply } from '../replies.ts';
import { SimRedis } from '../server.ts';
import { Administrator } from './administrator.ts';
import { SLOT_COUNT, slotOfKey } from './slots.ts';
import type { Seat } from './topology.ts';

const MASTERS = ['a', 'b', 'c'];
const NAMES = [...MASTERS, 'a2', 'b2', 'c2'];
/** Keys of `c`. */
const [KEY, OTHER_KEY] = ['{a}1', '{a}2'];
const SLOT = slotOfKey(KEY);
const TIMEOUT_MS = 1_000;
/** Longer than a failure is looked for, votes are asked for, and everybody hears of it. */
const FAILOVER_MS = 8_000;

let timeline: Timeline;
let network: Network;
let servers: ReadonlyMap<string, SimRedis>;
let administrator: Administrator;

beforeEach(async () => {
  timeline = new Timeline();
  const random = new SeededRandom(1);
  network = new Network(timeline, random);
  const share = (i: number) => Math.floor((SLOT_COUNT * i) / MASTERS.length);
  const seats = NAMES.map((host, i): Seat => ({ host, role: i < 3 ? [share(i), share(i + 1)] : MASTERS[i - 3]! }));
  const cluster = { seats, nodeTimeoutMs: TIMEOUT_MS, requiresFullCoverage: false };
  servers = new Map(NAMES.map((name) => [name, new SimRedis(new Host(name, timeline), network, random, { cluster })]));
  for (const one of servers.values()) one.boot();
  administrator = new Administrator(new Host('administrator', timeline), network, random, NAMES);
  await passed(FAILOVER_MS);
});

const passed = (ms: number) => timeline.run(timeline.nowMs + ms);
const server = (name: string) => servers.get(name)!;
/** As text, over a connection of a host of its own. */
async function ask(name: string, ...args: string[]): Promise<string> {
  const user = new Host('user', timeline);
  user.boot();
  const replies: Reply[] = [];
  void network.dial(user, name).then((wire) => {
    wire.open({ message: (message) => void replies.push(...((message as Together).messages as Reply[])), closed: () => {} });
    wire.send(new Together([args]));
  });
  await timeline.run(timeline.nowMs + 20, () => replies.length > 0);
  const [reply] = replies;
  user.crash();
  return reply instanceof ErrorReply ? reply.message : JSON.stringify(reply);
}
const masters = () => NAMES.filter((name) => server(name).cluster!.isMaster);
const mastersOf = (names: readonly string[]) => names.map((name) => server(name).cluster!.topology.self.master!.host);
function cut(apart: readonly string[]): void {
  for (const one of apart)
    for (const other of NAMES.filter((name) => !apart.includes(name))) {
      network.cut(one, other);
      network.cut(other, one);
    }
}

test('a master that is cut off goes on accepting for a while, then refuses, and loses what it took since', async () => {
  await ask('c', 'SET', KEY, 'before');
  await passed(100);
  cut(['c']);
  await ask('c', 'SET', KEY, 'alone');
  expect(await ask('c', 'GET', KEY)).toBe('"alone"');
  await passed(FAILOVER_MS);
  expect(await ask('c', 'GET', KEY)).toBe('CLUSTERDOWN The cluster is down');
  expect(await ask('c2', 'GET', KEY)).toBe('"before"');
  expect(await ask('a', 'GET', KEY)).toBe(`MOVED ${SLOT} c2:6379`);
  network.mendAll();
  await passed(FAILOVER_MS);
  expect(masters()).toEqual(['a', 'b', 'c2']);
  expect(await ask('c', 'GET', KEY)).toBe(`MOVED ${SLOT} c2:6379`);
  expect(server('c').store.getString(KEY)).toBe('before');
});

test('without the majority of the masters no replica takes over', async () => {
  for (const name of ['b', 'c']) server(name).kill('process');
  await passed(3 * FAILOVER_MS);
  expect(masters()).toEqual(['a', 'b', 'c']);
  expect(await ask('a', 'GET', 'b')).toBe('CLUSTERDOWN The cluster is down');
  for (const name of ['b', 'c']) server(name).boot();
  await passed(FAILOVER_MS);
  expect(await ask('c', 'GET', KEY)).toBe('null');
});

test('two masters may fail one after the other', async () => {
  server('c').kill('process');
  await passed(FAILOVER_MS);
  server('b').kill('process');
  await passed(FAILOVER_MS);
  expect(await ask('c2', 'GET', KEY)).toBe('null');
  expect([server('b2'), server('c2')].map(({ cluster }) => cluster!.isMaster)).toEqual([true, true]);
  const epochs = ['b2', 'c2'].map((name) => server(name).cluster!.topology.self.configEpoch);
  expect(epochs[0]).toBeGreaterThan(epochs[1]!);
});

test('a node that hands a key over answers nobody until the other one has it', async () => {
  await ask('c', 'SET', KEY, 'x');
  await ask('a', 'CLUSTER', 'SETSLOT', String(SLOT), 'IMPORTING', server('c').cluster!.topology.self.id);
  await ask('c', 'CLUSTER', 'SETSLOT', String(SLOT), 'MIGRATING', server('a').cluster!.topology.self.id);
  server('a').host.pause();
  void ask('c', 'MIGRATE', 'a', '6379', KEY, '0', '500');
  await passed(10);
  expect(await ask('c', 'PING')).toBe(undefined);
  await passed(600);
  expect(await ask('c', 'GET', KEY)).toBe('"x"');
  server('a').host.resume();
  await passed(100);
  // It arrived all the same, and is there twice.
  expect([server('a').store.getString(KEY), server('c').store.getString(KEY)]).toEqual(['x', 'x']);
});

test('a slot that was left half-way is handed over to the end, over what came twice', async () => {
  await ask('c', 'SET', KEY, 'x');
  await ask('c', 'SET', OTHER_KEY, 'y');
  administrator.begin(SLOT, 'a', 300);
  await timeline.run(timeline.nowMs + 1_000, () => server('a').store.getString(KEY) !== undefined);
  administrator.die();
  expect(await ask('c', 'GET', KEY)).toBe(`ASK ${SLOT} a:6379`);
  expect(await ask('c', 'DEL', KEY, OTHER_KEY)).toBe('TRYAGAIN Multiple keys request during rehashing of slot');
  administrator.mend();
  await passed(5_000);
  expect(administrator.isBusy).toBe(false);
  expect([await ask('a', 'GET', KEY), await ask('a', 'GET', OTHER_KEY)]).toEqual(['"x"', '"y"']);
  for (const name of ['b', 'c', 'a2']) expect(await ask(name, 'GET', KEY)).toBe(`MOVED ${SLOT} a:6379`);
});

test('keys of a slot whose target was replaced meanwhile go back to the owner', async () => {
  await ask('c', 'SET', KEY, 'x');
  administrator.begin(SLOT, 'a', 2_000);
  await timeline.run(timeline.nowMs + 5_000, () => server('a').store.getString(KEY) !== undefined);
  administrator.die();
  await passed(100);
  server('a').kill('process');
  await passed(FAILOVER_MS);
  administrator.mend();
  await passed(8_000);
  expect(administrator.isBusy).toBe(false);
  expect(await ask('c', 'GET', KEY)).toBe('"x"');
  expect(server('a2').store.getString(KEY)).toBe(undefined);
});

test('a slot that a failed master has open is closed when it comes back, as nobody took its place', async () => {
  await ask('c', 'CLUSTER', 'SETSLOT', String(SLOT), 'MIGRATING', server('a').cluster!.topology.self.id);
  for (const name of ['c2', 'c']) server(name).kill('process');
  await passed(FAILOVER_MS);
  administrator.mend();
  await passed(5_000);
  for (const name of ['c2', 'c']) server(name).boot();
  await passed(FAILOVER_MS);
  expect(administrator.isBusy).toBe(false);
  expect(await ask('c', 'GET', KEY)).toBe('null');
});

test('a master without a replica is given one of a master that has two', async () => {
  const replica = server('b2').cluster!;
  replica.become(replica.topology.at('a')!);
  await passed(2_000);
  expect(mastersOf(['a2', 'b2', 'c2'])).toEqual(['a', 'a', 'c']);
  await passed(FAILOVER_MS);
  expect(mastersOf(['a2', 'b2', 'c2']).toSorted()).toEqual(['a', 'b', 'c']);
});

test('what is published on one node reaches those who listen to another', async () => {
  const user = new Host('user', timeline);
  user.boot();
  const heard: Reply[] = [];
  void network.dial(user, 'b2').then((wire) => {
    wire.open({ message: (message) => void heard.push(...((message as Together).messages as Reply[])), closed: () => {} });
    wire.send(new Together([['SUBSCRIBE', 'news']]));
  });
  await passed(100);
  await ask('c', 'PUBLISH', 'news', 'something');
  await passed(100);
  expect(heard.at(-1)).toEqual(['message', 'news', 'something']);
});
