import { ReplyError } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { RedisLink, type Argument, type Driver } from './link.ts';
import type { PiecesCommand } from './pieces.ts';
import { ReplicatedWrites, type ReplicatedCall } from './replicated.ts';

const SCRIPT = { name: 'append', source: 'return 1', sha: 'digest' };

/** Answers every command at once: WAIT with `replicas`, a script with its first argument, or with an error. */
class FakeDriver implements Driver {
  readonly sent: string[] = [];
  replicas = 2;
  refusal: string | undefined;
  readonly #listeners = new Map<string, (...args: never[]) => void>();

  on(event: string, listener: (...args: never[]) => void): this {
    this.#listeners.set(event, listener);
    if (event === 'ready') queueMicrotask(() => listener());
    return this;
  }

  emit(event: 'ready' | 'close'): void {
    this.#listeners.get(event)?.();
  }

  async callBuffer(name: string, ...args: Argument[]): Promise<unknown> {
    this.sent.push([name, ...(name.startsWith('EVAL') ? [] : args)].join(' '));
    if (name === this.refusal) throw new ReplyError('NOSCRIPT No matching script');
    return name === 'WAIT' ? this.replicas : args.at(-1);
  }

  async sendCommand({ name }: PiecesCommand): Promise<unknown> {
    this.sent.push(name);
    return 'OK';
  }

  disconnect(): void {}
}

async function connected() {
  const driver = new FakeDriver();
  const link = await new Promise<RedisLink>((resolve) => {
    const made: RedisLink = new RedisLink(
      { url: 'redis://127.0.0.1', createDriver: () => driver },
      { up: () => resolve(made), down: () => {} },
    );
  });
  return { driver, link, writes: new ReplicatedWrites(link, 2, 500, systemClock) };
}

function call(partition: number, wrote: 'wrote' | 'found'): ReplicatedCall {
  const mark = `meta:${partition}`;
  return { script: SCRIPT, keys: [mark], args: [wrote], mark, hasWritten: (reply) => reply === 'wrote' };
}

describe('writes that replicas must have', () => {
  test('of one turn share one WAIT, behind all of them', async () => {
    const { driver, writes } = await connected();
    expect(await Promise.all([writes.run(call(1, 'wrote')), writes.run(call(2, 'wrote'))])).toEqual(['wrote', 'wrote']);
    expect(driver.sent).toEqual(['EVALSHA', 'EVALSHA', 'WAIT 2 500']);
  });

  test('follow the command that goes ahead of them, which is not sent again when the script is', async () => {
    const { driver, writes } = await connected();
    const ahead = ['SET', 'key', [Buffer.from('a'), Buffer.from('b')]] as const;
    expect(await writes.run({ ...call(1, 'wrote'), ahead })).toBe('wrote');
    driver.refusal = 'EVALSHA';
    expect(await writes.run({ ...call(1, 'wrote'), ahead })).toBe('wrote');
    expect(driver.sent).toEqual(['SET', 'EVALSHA', 'WAIT 2 500', 'SET', 'EVALSHA', 'EVAL', 'WAIT 2 500']);
  });

  test('that were there already: something is written before the WAIT, which would say nothing otherwise', async () => {
    const { driver, writes } = await connected();
    await Promise.all([writes.run(call(1, 'wrote')), writes.run(call(2, 'found')), writes.run(call(3, 'found'))]);
    expect(driver.sent).toEqual(['EVALSHA', 'EVALSHA', 'EVALSHA', 'HSET meta:2 mark 1', 'WAIT 2 500']);
  });

  test('of a key that is being handed over: each command of it comes after an ASKING', async () => {
    const { driver, writes } = await connected();
    driver.refusal = 'EVALSHA';
    await writes.run(call(1, 'found'), 'asking');
    expect(driver.sent).toEqual(['ASKING', 'EVALSHA', 'ASKING', 'EVAL', 'ASKING', 'HSET meta:1 mark 1', 'WAIT 2 500']);
  });

  test('fail when too few replicas have them in time', async () => {
    const { driver, writes } = await connected();
    driver.replicas = 1;
    await expect(writes.run(call(1, 'wrote'))).rejects.toMatchObject({ code: 'queue_unreplicated', kind: 'transient' });
    await expect(writes.probe('meta:1')).rejects.toMatchObject({ code: 'queue_unreplicated' });
  });

  test('are not vouched for by another connection, which may lead to another server', async () => {
    const { driver, link, writes } = await connected();
    const written = writes.run(call(1, 'wrote'));
    await Promise.resolve();
    driver.emit('close');
    driver.emit('ready');
    expect([link.up, link.connection]).toEqual([true, 2]);
    await expect(written).rejects.toMatchObject({ code: 'queue_unavailable' });
    expect(driver.sent).toEqual(['EVALSHA']);
  });
});
