import { describe, expect, test } from 'vitest';
import { RedisLink, type Driver } from './link.ts';

/** A driver that is connected, and whose commands the test settles. */
class FakeDriver implements Driver {
  readonly commands: { resolve(reply: unknown): void; reject(error: Error): void }[] = [];
  readonly disconnects: (boolean | undefined)[] = [];

  on(event: string, listener: (...args: never[]) => void): this {
    if (event === 'ready') queueMicrotask(listener);
    return this;
  }

  callBuffer(): Promise<unknown> {
    return new Promise((resolve, reject) => this.commands.push({ resolve, reject }));
  }

  sendCommand(): Promise<unknown> {
    return this.callBuffer();
  }

  disconnect(reconnect?: boolean): void {
    this.disconnects.push(reconnect);
  }
}

async function connected() {
  const driver = new FakeDriver();
  const link = await new Promise<RedisLink>((resolve) => {
    const made: RedisLink = new RedisLink(
      { url: 'redis://127.0.0.1', createDriver: () => driver },
      { up: () => resolve(made), down: () => {} },
    );
  });
  /** Sends a command that gets no reply before its deadline; resolves when that has passed. */
  const unanswered = async (count = 1) => {
    const sent = Array.from({ length: count }, () => link.command('PING', []));
    for (const { reject } of driver.commands.splice(0)) reject(new Error('Command timed out'));
    for (const one of sent) await expect(one).rejects.toMatchObject({ code: 'queue_unavailable' });
  };
  const answered = async () => {
    const sent = link.command('PING', []);
    driver.commands.splice(0)[0]?.resolve('PONG');
    expect(await sent).toBe('PONG');
  };
  return { driver, unanswered, answered };
}

describe('a connection on which no replies come', () => {
  test('is made anew when a command that was sent after one without a reply gets none either', async () => {
    const { driver, unanswered } = await connected();
    await unanswered();
    expect(driver.disconnects).toEqual([]);
    await unanswered();
    expect(driver.disconnects).toEqual([true]);
  });

  test('is kept when many that were sent together get none, or a reply comes in between', async () => {
    const { driver, unanswered, answered } = await connected();
    await unanswered(20);
    await answered();
    await unanswered(20);
    expect(driver.disconnects).toEqual([]);
  });
});

test('a link that was closed while it connected does not come up any more', () => {
  const listeners = new Map<string, () => void>();
  const driver: Driver = {
    on: (event: string, listener: (...args: never[]) => void) => listeners.set(event, listener),
    callBuffer: () => Promise.reject(new Error('nothing is asked')),
    sendCommand: () => Promise.reject(new Error('nothing is sent')),
    // As ioredis does, it becomes ready all the same, and closes then.
    disconnect: () => {},
  };
  const told: string[] = [];
  const events = { up: () => told.push('up'), down: () => told.push('down') };
  const link = new RedisLink({ url: 'redis://127.0.0.1', createDriver: () => driver }, events);
  link.close();
  listeners.get('ready')?.();
  listeners.get('close')?.();
  expect([told, link.up]).toEqual([['down'], false]);
});
