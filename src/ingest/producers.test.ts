import { describe, expect, test } from 'vitest';
import { createAuthenticator, hashToken, hasTokens, type AuthenticatorSettings } from './producers.ts';
import type { Refusal } from './failed-attempts.ts';

describe('tokens', () => {
  test('a configured token names its producer; another, a part of it or none names nobody', async () => {
    const authenticator = createAuthenticator({
      producers: [
        { name: 'shop', tokens: [hashToken('shop.old-secret'), hashToken('shop.new-secret')] },
        { name: 'bank', tokens: [hashToken('bank.secret').toUpperCase().replace('SHA256', 'sha256')] },
      ],
    });
    const named = (token: string) => authenticator.authenticate(token, '10.0.0.1');
    expect(await named('shop.old-secret')).toBe('shop');
    expect(await named('shop.new-secret')).toBe('shop');
    expect(await named('bank.secret')).toBe('bank');
    for (const wrong of ['', 'shop', 'shop.secret', 'shop.new-secret ', hashToken('shop.new-secret')])
      expect(await named(wrong)).toBeUndefined();
  });

  test('the single token is the producer default, beside others', async () => {
    const authenticator = createAuthenticator({ token: 'swordfish', producers: [{ name: 'shop', tokens: [hashToken('shop.secret')] }] });
    expect(await authenticator.authenticate('swordfish', '10.0.0.1')).toBe('default');
    expect(await authenticator.authenticate('shop.secret', '10.0.0.1')).toBe('shop');
    expect(await authenticator.authenticate('', '10.0.0.1')).toBeUndefined();
  });

  test('without any token everybody is the producer default', async () => {
    expect(await createAuthenticator({}).authenticate('anything', '127.0.0.1')).toBe('default');
    expect(hasTokens({ producers: [] })).toBe(false);
  });

  test('a producer without tokens lets nobody in, rather than everybody', async () => {
    const settings = { producers: [{ name: 'shop', tokens: [] }] };
    expect(hasTokens(settings)).toBe(true);
    expect(await createAuthenticator(settings).authenticate('', '10.0.0.1')).toBeUndefined();
  });

  test('half of a digest is not enough', async () => {
    const whole = hashToken('shop.secret');
    const half = `${whole.slice(0, -32)}${'0'.repeat(32)}`;
    const authenticator = createAuthenticator({ producers: [{ name: 'shop', tokens: [half] }] });
    expect(await authenticator.authenticate('shop.secret', '10.0.0.1')).toBeUndefined();
    expect(authenticator.producerOf(whole, '10.0.0.1')).toBeUndefined();
  });

  test('a hash is sha256: and 64 hex digits', () => {
    expect(hashToken('abc')).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(() => createAuthenticator({ producers: [{ name: 'shop', tokens: ['shop.secret'] }] })).toThrow('sha256:');
  });
});

/** An authenticator, and why it refused. */
function watched(settings: AuthenticatorSettings) {
  const refusals: Refusal[] = [];
  const authenticator = createAuthenticator(settings, async (refusal) => void refusals.push(refusal));
  const reasons = () => refusals.splice(0).map(({ reason, producer }) => (producer === undefined ? reason : `${reason} ${producer}`));
  return { ...authenticator, refusals, reasons };
}

const HERE = '10.0.0.1';

describe('tokens of the token file', () => {
  const issued = [
    { producer: 'shop', digest: hashToken('shop-1.old') },
    { producer: 'shop', digest: hashToken('shop-2.new') },
    { producer: 'erp', digest: hashToken('erp-1.secret') },
  ];

  test('are known, several of one producer at a time, beside those of the configuration', async () => {
    const settings = {
      issued,
      producers: [
        { name: 'shop', tokens: [hashToken('shop.configured')] },
        { name: 'erp', tokens: [] },
      ],
    };
    const { authenticate, producerOf, reasons } = watched(settings);
    for (const token of ['shop-1.old', 'shop-2.new', 'shop.configured']) {
      expect(await authenticate(token, HERE)).toBe('shop');
      expect(producerOf(hashToken(token), HERE)).toBe('shop');
    }
    expect(await authenticate('erp-1.secret', HERE)).toBe('erp');
    for (const wrong of ['shop-1.new', 'shop-2.old', 'shop-1.', 'shop-1', '.old', 'shop-3.old', 'shop-1.old.', 'x.shop-1.old'])
      expect(await authenticate(wrong, HERE)).toBeUndefined();
    expect(new Set(reasons())).toEqual(new Set(['unknown_token']));
  });

  test('let nobody in whom the configuration does not list, where it lists anybody', async () => {
    const { authenticate, producerOf, reasons } = watched({ issued, producers: [{ name: 'shop', tokens: [] }] });
    expect(await authenticate('shop-1.old', HERE)).toBe('shop');
    expect(await authenticate('erp-1.secret', HERE)).toBeUndefined();
    expect(producerOf(hashToken('erp-1.secret'), HERE)).toBeUndefined();
    expect(reasons()).toEqual(['unlisted_producer erp']);
    expect(await createAuthenticator({ issued }).authenticate('erp-1.secret', HERE)).toBe('erp');
  });

  test('do not change whose token of the configuration it is', async () => {
    const again = [{ producer: 'erp', digest: hashToken('shop.configured') }];
    const producers = [
      { name: 'shop', tokens: [hashToken('shop.configured')] },
      { name: 'erp', tokens: [] },
    ];
    expect(await createAuthenticator({ producers, issued: again }).authenticate('shop.configured', HERE)).toBe('shop');
  });

  test('a file without tokens lets nobody in, rather than everybody', async () => {
    expect(hasTokens({ issued: [] })).toBe(true);
    expect(await createAuthenticator({ issued: [] }).authenticate('', HERE)).toBeUndefined();
  });
});

describe('addresses', () => {
  const settings = {
    producers: [
      { name: 'shop', tokens: [hashToken('shop.one')], addresses: ['10.1.0.0/16', '2001:db8::/32'] },
      { name: 'erp', tokens: [hashToken('erp.one')] },
    ],
  };

  test('a producer comes from those that it may come from, and the answer elsewhere is that to a wrong token', async () => {
    const { authenticate, producerOf, reasons } = watched(settings);
    for (const inside of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::7']) expect(await authenticate('shop.one', inside)).toBe('shop');
    for (const outside of ['10.2.0.1', '2001:db9::7', 'unknown', '']) {
      expect(await authenticate('shop.one', outside)).toBeUndefined();
      expect(producerOf(hashToken('shop.one'), outside)).toBeUndefined();
    }
    expect(await authenticate('erp.one', '10.2.0.1')).toBe('erp');
    expect(new Set(reasons())).toEqual(new Set(['address shop']));
  });

  test('those of the whole server hold for everybody, with a token or where none is asked for', async () => {
    const everybody = watched({ ...settings, addresses: ['10.1.0.0/16', '10.2.0.1'] });
    expect(await everybody.authenticate('erp.one', '10.2.0.1')).toBe('erp');
    expect(await everybody.authenticate('erp.one', '10.2.0.2')).toBeUndefined();
    expect(await everybody.authenticate('shop.one', '2001:db8::7')).toBeUndefined();
    expect(everybody.reasons()).toEqual(['address', 'address']);
    const open = createAuthenticator({ addresses: ['127.0.0.1'] });
    expect(await open.authenticate('', '127.0.0.1')).toBe('default');
    expect(await open.authenticate('', '127.0.0.2')).toBeUndefined();
  });
});

describe('certificates', () => {
  const settings = {
    producers: [
      { name: 'shop', tokens: [hashToken('shop.one')], certificates: ['DNS:shop.example', 'URI:spiffe://example/Shop'] },
      { name: 'erp', tokens: [hashToken('erp.one')], certificates: ['DNS:erp.example'], addresses: ['10.0.0.0/24'] },
    ],
  };

  test('one of its names is enough, without a token or with one of the same producer', async () => {
    const { authenticate, producerOf } = watched(settings);
    for (const names of [['DNS:shop.example'], ['DNS:other.example', 'DNS:SHOP.Example'], ['URI:spiffe://example/Shop']]) {
      expect(await authenticate('', HERE, names)).toBe('shop');
      expect(await authenticate('shop.one', HERE, names)).toBe('shop');
      expect(producerOf(hashToken(''), HERE, names)).toBe('shop');
    }
  });

  test('whoever has the certificate of one producer cannot be another', async () => {
    const { authenticate, producerOf, reasons } = watched(settings);
    expect(await authenticate('erp.one', HERE, ['DNS:shop.example'])).toBeUndefined();
    expect(producerOf(hashToken('erp.one'), HERE, ['DNS:shop.example'])).toBeUndefined();
    expect(await authenticate('', HERE, ['DNS:shop.example', 'DNS:erp.example'])).toBeUndefined();
    expect(await authenticate('shop.one', HERE, ['DNS:shop.example', 'DNS:erp.example'])).toBeUndefined();
    expect(await authenticate('guess', HERE, ['DNS:shop.example'])).toBeUndefined();
    expect(reasons()).toEqual(['certificate erp', 'certificate shop', 'certificate shop', 'unknown_token']);
  });

  test('a name is taken as it is written, but for the case of hosts', async () => {
    const { authenticate } = watched(settings);
    for (const name of ['shop.example', 'DNS:a.shop.example', 'DNS:shop.example.', 'CN=shop.example', 'URI:spiffe://example/shop', 'DNS:*'])
      expect(await authenticate('', HERE, [name])).toBeUndefined();
  });

  test('addresses hold for them too', async () => {
    const { authenticate, reasons } = watched(settings);
    expect(await authenticate('', HERE, ['DNS:erp.example'])).toBe('erp');
    expect(await authenticate('', '10.0.1.1', ['DNS:erp.example'])).toBeUndefined();
    expect(reasons()).toEqual(['address erp']);
  });

  test('that belong to nobody leave it to the token', async () => {
    const { authenticate } = watched(settings);
    expect(await authenticate('erp.one', HERE, ['DNS:elsewhere.example'])).toBe('erp');
    expect(await authenticate('', HERE, ['DNS:elsewhere.example'])).toBeUndefined();
  });
});

test('a refusal says what a token calls itself, and never the token', async () => {
  const { authenticate, refusals } = watched({ issued: [{ producer: 'shop', digest: hashToken('shop-1.secret') }] });
  await authenticate('shop-1.guess', HERE);
  await authenticate('no-dot', HERE);
  await authenticate('', HERE);
  await authenticate(`${'x'.repeat(200)}.guess`, HERE);
  expect(refusals.map(({ reason, claimedId }) => [reason, claimedId])).toEqual([
    ['unknown_token', 'shop-1'],
    ['unknown_token', undefined],
    ['no_token', undefined],
    ['unknown_token', undefined],
  ]);
  expect(JSON.stringify(refusals)).not.toMatch(/guess|no-dot|secret/);
});
