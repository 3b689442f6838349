import { describe, expect, test } from 'vitest';
import { createAuthenticator, hashToken, hasTokens } from './producers.ts';

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

  test('a hash is sha256: and 64 hex digits', () => {
    expect(hashToken('abc')).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(() => createAuthenticator({ producers: [{ name: 'shop', tokens: ['shop.secret'] }] })).toThrow('sha256:');
  });
});
