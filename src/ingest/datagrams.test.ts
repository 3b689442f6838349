import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import type { ChangeGroup } from '../core/change.ts';
import { encodeDatagram } from '../protocol/datagram.ts';
import { Datagrams, type DatagramSettings } from './datagrams.ts';

const GROUPS: readonly ChangeGroup[] = [{ table: 'readings', op: 'upsert', keyCount: 1, columns: ['id'], rows: [[1]] }];
const SETTINGS: DatagramSettings = { maxDatagramBytes: 1_000, datagramsPerSecond: 100, datagramsPerSecondPerAddress: 10 };

function createDoor(settings: Partial<DatagramSettings> = {}) {
  const clock = new VirtualClock();
  const written: { producer: string; groups: readonly ChangeGroup[] }[] = [];
  const state = { isOpen: true, hasRoom: true };
  const datagrams = new Datagrams(
    {
      clock,
      isOpen: () => state.isOpen,
      producerOf: (token) => (token === 'token-of-shop' ? 'shop' : undefined),
      writer: {
        write: (producer, groups) => {
          if (state.hasRoom) written.push({ producer, groups });
          return state.hasRoom;
        },
      },
    },
    { ...SETTINGS, ...settings },
  );
  const send = (token = 'token-of-shop', address = '10.0.0.1') => datagrams.take(encodeDatagram(token, GROUPS), address);
  return { clock, datagrams, written, state, send };
}

describe('a datagram', () => {
  test('is written for the producer whose token it bears', () => {
    const { send, written, datagrams } = createDoor();
    expect(send()).toBe('accepted');
    expect(written).toEqual([{ producer: 'shop', groups: GROUPS }]);
    expect(datagrams.counts).toMatchObject({ accepted: 1, wrong_token: 0 });
  });

  test('is dropped and counted when its token is nobody’s, when it is no frame, and when it is too large', () => {
    const { datagrams, send, written } = createDoor({ maxDatagramBytes: 70 });
    expect(send('token-of-crm')).toBe('wrong_token');
    expect(datagrams.take(Buffer.from('hello'), '10.0.0.1')).toBe('malformed');
    expect(datagrams.take(encodeDatagram('x'.repeat(60), GROUPS), '10.0.0.1')).toBe('too_large');
    expect(written).toEqual([]);
    expect(datagrams.counts).toMatchObject({ accepted: 0, wrong_token: 1, malformed: 1, too_large: 1 });
  });

  test('is dropped while the queue takes nothing, and when its producer has no room left', () => {
    const { send, state, written } = createDoor();
    state.isOpen = false;
    expect(send()).toBe('held');
    state.isOpen = true;
    state.hasRoom = false;
    expect(send()).toBe('full');
    expect(written).toEqual([]);
  });
});

describe('rates', () => {
  test('hold one address to its own, and no other to that', async () => {
    const { send, clock, datagrams } = createDoor();
    for (let i = 0; i < 12; i++) send();
    expect(datagrams.counts).toMatchObject({ accepted: 10, address_rate: 2 });
    expect(send(undefined, '10.0.0.2')).toBe('accepted');
    await clock.advance(500);
    for (let i = 0; i < 12; i++) send();
    expect(datagrams.counts).toMatchObject({ accepted: 16, address_rate: 9 });
  });

  test('hold all addresses together to that of the node', () => {
    const { send, datagrams } = createDoor();
    for (let i = 0; i < 120; i++) send(undefined, `10.0.0.${i}`);
    expect(datagrams.counts).toMatchObject({ accepted: 100, node_rate: 20 });
  });

  test('count a /64 of IPv6 as one address', () => {
    const { send, datagrams } = createDoor();
    for (let i = 1; i <= 12; i++) send(undefined, `2001:db8::${i.toString(16)}`);
    for (let i = 1; i <= 12; i++) send(undefined, `2001:db8:0:1:${i}::`);
    expect(datagrams.counts).toMatchObject({ accepted: 20, address_rate: 4 });
  });

  test('of a reload hold from then on', () => {
    const { send, datagrams } = createDoor();
    expect(send()).toBe('accepted');
    datagrams.configure({ ...SETTINGS, datagramsPerSecondPerAddress: 2 });
    for (let i = 0; i < 5; i++) send();
    expect(datagrams.counts).toMatchObject({ accepted: 3, address_rate: 3 });
  });

  test('remember a bounded number of addresses', () => {
    const { send } = createDoor({ datagramsPerSecond: 1_000_000, datagramsPerSecondPerAddress: 1 });
    expect(send()).toBe('accepted');
    expect(send()).toBe('address_rate');
    for (let i = 0; i < 10_000; i++) send(undefined, `10.1.${i >> 8}.${i & 255}`);
    expect(send()).toBe('accepted');
  });
});
