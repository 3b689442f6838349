import { expect, test } from 'vitest';
import { systemClock } from '../core/clock.ts';
import { dialerOfUrl } from './dialer-of-url.ts';

const aborted = AbortSignal.abort(new Error('aborted'));

test.each(['tcp://host', 'tcp://host:9501', 'tcps://[::1]:9501', 'ws://host:9502', 'wss://host/other/path'])(
  '%s is dialled',
  async (url) => {
    await expect(dialerOfUrl(url, undefined, systemClock).connect(aborted)).rejects.toThrow('aborted');
  },
);

test('without a path, a WebSocket is asked for where servers take it', async () => {
  const { signal } = new AbortController();
  await expect(dialerOfUrl('ws://127.0.0.1:9', undefined, systemClock).connect(signal)).rejects.toThrow(
    'ws://127.0.0.1:9/ws cannot be reached',
  );
});

test.each(['redis://host', 'http://host', 'tcp://', 'host:9501', ''])('%j is refused', (url) => {
  expect(() => dialerOfUrl(url, undefined, systemClock)).toThrow(/is not of the form tcp:\/\/host:port/);
});

test('a password in the url is refused, and not shown', () => {
  for (const scheme of ['tcp', 'wss'])
    expect(() => dialerOfUrl(`${scheme}://me:secret@host:1`, undefined, systemClock)).toThrow(/^(?!.*secret).*must not carry a password/);
});

test('tls options that would reach nobody are refused, and what helps is said', () => {
  expect(() => dialerOfUrl('wss://host/ws', { ca: 'PEM' }, systemClock)).toThrow(/tls options are for tcps:\/\/.*NODE_EXTRA_CA_CERTS/);
});
