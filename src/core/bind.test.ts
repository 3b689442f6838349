import { describe, expect, test } from 'vitest';
import { adminDoor, checkBind, producerDoor } from './bind.ts';

describe('where a door may be', () => {
  test.each(['127.0.0.1', '127.8.8.8', '::1', 'localhost'])('%s needs no token', (host) => {
    expect(() => checkBind(producerDoor('listen.tcp.host', host, 'nothing'))).not.toThrow();
    expect(() => checkBind(adminDoor(host, undefined))).not.toThrow();
  });

  // Spellings of loopback that not every system takes for it are refused too.
  test.each(['0.0.0.0', '::', '', '10.0.0.1', 'example.org', '128.0.0.1', '127.0.0.1.example.org', '0', '127.1', '::ffff:127.0.0.1'])(
    '"%s" needs a token or a certificate',
    (host) => {
      expect(() => checkBind(producerDoor('listen.udp.host', host, 'nothing'))).toThrow(/^listen\.udp\.host is .*SYNCLINE_TOKEN/);
      expect(() => checkBind(producerDoor('listen.udp.host', host, 'token'))).not.toThrow();
      expect(() => checkBind(producerDoor('listen.udp.host', host, 'certificate'))).not.toThrow();
      expect(() => checkBind(adminDoor(host, undefined))).toThrow(/^listen\.admin\.host is .* listen\.admin\.token/);
      expect(() => checkBind(adminDoor(host, 'token'))).not.toThrow();
    },
  );
});
