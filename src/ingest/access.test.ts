import { beforeEach, describe, expect, test } from 'vitest';
import { createWorld, FrameChain, type World } from '../../test/support/ingest-world.ts';
import type { Rule } from '../core/access.ts';
import type { ChangeGroup } from '../core/change.ts';
import { encodeBatch } from '../protocol/batch.ts';
import { HEADER_BYTES } from '../protocol/frame.ts';
import { decodeError, decodeRefusal, decodeWelcome } from '../protocol/messages.ts';
import { REFUSED } from './context.ts';
import { createAuthenticator, hashToken } from './producers.ts';

const RULES: readonly Rule[] = [{ tables: ['cities'], operations: ['upsert'], columns: ['name'] }];
const certified = { certificateNames: ['DNS:shop.example'] };

function authenticator(rules: readonly Rule[] | undefined) {
  return createAuthenticator({
    producers: [
      { name: 'shop', tokens: [hashToken('one')], certificates: ['DNS:shop.example'], rules },
      { name: 'erp', tokens: [hashToken('two')], addresses: ['10.0.0.0/24'] },
    ],
  });
}

const cities = (columns: readonly string[]): ChangeGroup => ({
  table: 'cities',
  op: 'upsert',
  keyCount: 1,
  columns,
  rows: [columns.map((_, i) => i)],
});
const hidden: ChangeGroup = { table: 'salaries', op: 'upsert', keyCount: 1, columns: ['id', 'name'], rows: [[1, 'x']] };

let world: World;
beforeEach(() => {
  world = createWorld({ authenticator: authenticator(RULES) });
});

/** What the queue holds of partition 0. */
async function storedKinds(): Promise<string[]> {
  const elements = await world.queue.fetch('main', 0, { elements: 100, bytes: 1 << 20 });
  return elements.map(({ kind, frame }) =>
    kind === 'refusal' ? `refusal ${decodeRefusal(Buffer.from(frame).subarray(HEADER_BYTES)).code}` : kind,
  );
}

describe('a producer with rules', () => {
  test('has what it may do stored as it was sent, and of what it may not do only that it was refused', async () => {
    const peer = await world.open({ token: 'one' });
    const chain = new FrameChain(0, 0);
    chain.add(encodeBatch({ groups: [cities(['id', 'name'])] }));
    chain.add(encodeBatch({ groups: [hidden] }));
    chain.add(encodeBatch({ groups: [hidden, cities(['id', 'mayor'])] }));
    // The workers sort out which changes of it are not allowed.
    chain.add(encodeBatch({ groups: [hidden, cities(['id', 'name'])] }));
    chain.add(Buffer.from([0xc1]));
    peer.sendBytes(chain.bytes(1, 5));
    await world.clock.settle();
    expect(peer.take()).toEqual(['WELCOME', 'STORED 0:5']);
    expect(await storedKinds()).toEqual(['frame', 'refusal not_allowed', 'refusal not_allowed', 'frame', 'refusal malformed_payload']);
  });

  test('hears only of the tables that it may write', async () => {
    const shop = await world.open({ token: 'one' });
    expect([...decodeWelcome(shop.frames[0]!.payload).tables.keys()]).toEqual(['cities']);
    world.context.authenticator = authenticator([{ tables: ['other_*'], operations: ['upsert'] }]);
    const again = await world.open({ token: 'one', stream: 'a'.repeat(32) });
    expect(decodeWelcome(again.frames[0]!.payload).tables.size).toBe(0);
    const erp = await world.open({ token: 'two', stream: 'b'.repeat(32) });
    expect(decodeWelcome(erp.frames[0]!.payload).tables.size).toBe(1);
  });

  test('is held to others from the next frame on, without a new connection, also one of this process', async () => {
    const peers = [
      await world.open({ token: 'one' }),
      await world.open({ token: '', stream: 'a'.repeat(32) }, '127.0.0.1', { producer: 'shop' }),
    ];
    const chains = peers.map(() => new FrameChain(0, 0));
    const send = async () => {
      for (const [i, peer] of peers.entries()) peer.sendBytes(chains[i]!.add(encodeBatch({ groups: [cities(['id', 'name'])] })));
      await world.clock.settle();
    };
    await send();
    world.context.authenticator = authenticator([]);
    world.sessions.reauthenticate();
    await send();
    expect(await storedKinds()).toEqual(['frame', 'frame', 'refusal not_allowed', 'refusal not_allowed']);
    for (const peer of peers) expect(peer.isClosed).toBe(false);
  });
});

describe('who is not let in', () => {
  /** What the peer is told, byte for byte, and with what it ended. */
  async function answerTo(token: string, address: string, names?: readonly string[]): Promise<object> {
    const peer = await world.open({ token }, address, names && { certificateNames: names });
    const { code, message } = decodeError(peer.frames[0]!.payload);
    return { code, message, frames: peer.frames.length, isClosed: peer.isClosed };
  }

  test('is told the same, whatever was wrong', async () => {
    const refused = { code: 'auth_failed', message: REFUSED, frames: 1, isClosed: true };
    expect(await answerTo('guess', '10.0.0.1')).toEqual(refused);
    expect(await answerTo('two', '10.0.1.1')).toEqual(refused);
    expect(await answerTo('two', '10.0.0.1', ['DNS:shop.example'])).toEqual(refused);
  });
});

describe('a certificate', () => {
  test('lets its producer in without a token, until it is its no more', async () => {
    const peer = await world.open({ token: '' }, '10.0.0.1', certified);
    expect(decodeWelcome(peer.frames[0]!.payload).producer).toBe('shop');
    world.sessions.reauthenticate();
    expect(peer.take()).toEqual(['WELCOME']);
    world.context.authenticator = createAuthenticator({ producers: [{ name: 'shop', tokens: [hashToken('one')] }] });
    world.sessions.reauthenticate();
    expect(peer.take()).toEqual(['ERROR auth_failed']);
  });

  test('of one producer does not open the stream of another', async () => {
    const erp = await world.open({ token: 'two' });
    const chain = new FrameChain(0, 1);
    erp.sendBytes(chain.bytes(1));
    await world.clock.settle();
    expect(erp.take()).toEqual(['WELCOME', 'STORED 0:1']);
    expect((await world.open({ token: '' }, '10.0.0.1', certified)).take()).toEqual(['ERROR stream_owned_by_other']);
    expect(erp.isClosed).toBe(false);
  });
});
