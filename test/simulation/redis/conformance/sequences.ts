import { createHash } from 'node:crypto';
import type { AppendEntry } from '../../../../src/queue/queue.ts';
import { QueueKeys } from '../../../../src/queue/redis/keys.ts';
import { packEntries, packFloors, packStreamAt, unpackResults } from '../../../../src/queue/redis/pack.ts';
import { loadScripts, type Script, type Scripts } from '../../../../src/queue/redis/scripts.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import type { Reply } from '../replies.ts';
import type { Subject } from './subjects.ts';

const KEYS = new QueueKeys('q:');
const SCRIPTS = loadScripts();
const SETTINGS = 'settings';
const APART_LIMITS = { frameBytes: 30, callBytes: 35 };
const STREAMS = ['a', 'b', 'c'].map((name) => createHash('md5').update(name).digest('hex'));
const PRODUCERS = ['bücher', 'zero\0byte', ''];
const TOKENS = [...Array.from({ length: 8 }, () => 'token'), 'other', ''];
const NUMBERS = [
  ...['0', '1', '2', '3', '-1', '-2', '10', '100', '5000', '1.5', ' 1', '+1', '-0', '01', '1e3', '', 'x', '9007199254740991'],
  ...['9223372036854775807', '-9223372036854775808', '9223372036854775808', '99999999999999999999'],
];
const SEQS = [2 ** 32, 2 ** 53 - 1, 2 ** 53, 0];
/** What a key or a field holds that nobody of us wrote. */
const GARBAGE = [
  '',
  'x',
  '1',
  '-5',
  '1 2 3',
  '1 2 3 ',
  '5 6 7 shop',
  '1 2 x shop',
  'token node',
  'token',
  'f'.repeat(40),
  '\x01\x00short',
  '\x02'.repeat(60),
];

/**
 * Runs one sequence of commands that `seed` decides, most of them as the queue sends them and some hostile, and tells what
 * was answered, then what the keys hold.
 */
export async function runSequence(seed: number, subject: Subject): Promise<string[]> {
  const sequence = new Sequence(seed, subject);
  await subject.execute('FLUSHALL');
  await subject.execute('SCRIPT', 'FLUSH');
  if (sequence.random.chance(0.8)) for (const script of Object.values(SCRIPTS)) await subject.execute('SCRIPT', 'LOAD', sourceOf(script));
  const steps = 10 + sequence.random.below(40);
  for (let i = 0; i < steps; i++) await sequence.step();
  await sequence.dump();
  return sequence.transcript;
}

class Sequence {
  readonly random: SeededRandom;
  readonly #subject: Subject;
  readonly transcript: string[] = [];
  /** The last place of each stream. */
  readonly #places = new Map<string, { seq: number; crc: number }>();
  /** Where frames are kept apart. */
  readonly #frames: string[] = [];

  constructor(seed: number, subject: Subject) {
    this.random = new SeededRandom(seed);
    this.#subject = subject;
  }

  async step(): Promise<void> {
    const roll = this.random.below(100);
    if (roll < 38) await this.#append();
    else if (roll < 42) await this.#raise();
    else if (roll < 50) await this.#run('fetch', [this.#list()], [this.#number('10'), this.#number('1000')]);
    else if (roll < 58) await this.#trim();
    else if (roll < 64) await this.#heal();
    else if (roll < 68) await this.#run('backlog', [this.#list(), this.#meta(), this.#list(), this.#meta()], []);
    else if (roll < 76) await this.#acquire();
    else if (roll < 80) await this.#renew();
    else if (roll < 82)
      await this.#run('release', [this.#lease(), this.#meta(), this.#lease(), this.#meta()], [this.#token(), this.#token()]);
    else if (roll < 86) await this.#run('probe', [this.random.chance(0.5) ? KEYS.installation : this.#any()], [this.#settings()]);
    else if (roll < 88) await this.#vandalise();
    else await this.#command();
  }

  /** What every key holds. */
  async dump(): Promise<void> {
    const keys = [
      KEYS.installation,
      ...[0, 1].flatMap((p) => [KEYS.list('main', p), KEYS.list('copy', p), KEYS.streams(p), KEYS.meta(p), KEYS.lease('main', p)]),
    ];
    for (const key of [...keys, ...this.#frames, 'q:other']) {
      await this.#execute('GET', key);
      await this.#execute('LRANGE', key, '0', '-1');
      await this.#execute('HSCAN', key, '0', 'COUNT', '1000');
      this.transcript.push(`expires: ${Number((await this.#subject.execute('PTTL', key)).reply) >= 0}`);
    }
    await this.#execute('DBSIZE');
  }

  // What the queue sends

  async #append(): Promise<void> {
    const entries = Array.from({ length: 1 + this.random.below(4) }, () => this.#entry());
    const random = { fill: (bytes: Uint8Array) => bytes.forEach((_, i) => (bytes[i] = this.random.below(256))), fraction: () => 0 };
    const packed = packEntries(entries, random, APART_LIMITS);
    const lists = this.random.chance(0.5) ? [this.#list()] : [KEYS.list('main', 0), KEYS.list('copy', 0)];
    const places = packed.apart.length === 0 ? [] : lists.map((list) => framesOf(list, packed.random));
    this.#frames.push(...places);
    const [place] = places;
    // Otherwise it has expired, as when Redis stood still for longer.
    if (place !== undefined && this.random.chance(0.9))
      await this.#execute('SET', place, latin1(Buffer.concat(packed.apart)), 'PX', '5000');
    const torn = packed.args.map((part) => this.#torn(latin1(part)));
    const keys = [this.#streams(), this.#meta(), ...lists, ...places];
    const reply = await this.#run('append', keys, [this.#settings(), ...torn, String(lists.length)]);
    if (typeof reply !== 'string') return;
    const results = unpackResults(Buffer.from(reply, 'latin1'), entries);
    entries.forEach(({ stream }, i) => this.#places.set(stream, results[i]!.stored));
  }

  #entry(): AppendEntry {
    const stream = this.random.pick(STREAMS);
    const place = this.#places.get(stream) ?? { seq: 0, crc: 0 };
    const seq = this.random.chance(0.8) ? place.seq + 1 : this.random.pick([place.seq, place.seq + 2, ...SEQS]);
    const crc = this.random.below(2 ** 32);
    this.#places.set(stream, { seq, crc });
    return {
      stream,
      producer: this.#producer(),
      seq,
      prev: this.random.chance(0.9) ? place.crc : 7,
      crc,
      frame: Buffer.from('f'.repeat(this.random.chance(0.9) ? this.random.below(40) : 1000 + this.random.below(50))),
      kind: this.random.chance(0.9) ? 'frame' : 'refusal',
    };
  }

  async #raise(): Promise<void> {
    const floors = Array.from({ length: 1 + this.random.below(3) }, () => ({
      partition: 0,
      stream: this.random.pick(STREAMS),
      producer: this.#producer(),
      place: this.#place(),
    }));
    await this.#run('raise', [this.#streams(), this.#meta()], [this.#settings(), this.#torn(latin1(packFloors(floors)))]);
  }

  async #trim(): Promise<void> {
    const list = this.#list();
    const count = this.#number(String(1 + this.random.below(3)));
    // What a slice has read: the identity is another one on every server.
    const { reply: last } = await this.#subject.execute('LINDEX', list, /^\d{1,3}$/.test(count) ? String(Number(count) - 1) : '0');
    const identity = typeof last === 'string' && this.random.chance(0.8) ? last.slice(5, 29) : 'x'.repeat(24);
    const appends = this.random.chance(0.8) ? [identity.slice(16), 'another '] : [];
    await this.#run(
      'trim',
      [list, this.#lease(), this.#streams(), this.#meta(), ...appends.map((append) => framesOf(list, Buffer.from(append, 'latin1')))],
      [this.#token(), count, identity, this.#torn(this.#watermarks()), appends.join('')],
    );
  }

  async #heal(): Promise<void> {
    const list = this.random.chance(0.5) ? KEYS.list('copy', 0) : this.#list();
    await this.#run('heal', [list, this.#lease(), this.#streams()], [this.#token(), this.#torn(this.#watermarks())]);
  }

  async #acquire(): Promise<void> {
    const lease = this.#lease();
    const ttl = this.#ttl();
    await this.#run(
      'acquire',
      [lease, this.#meta()],
      [this.#token(), this.random.pick(['node', 'other node', '']), ttl, this.random.pick(['wait', 'take', 'steal', ''])],
    );
    if (ttl === '20') await this.#subject.sleep(45);
  }

  async #renew(): Promise<void> {
    const ttl = this.#ttl();
    await this.#run('renew', [this.#lease(), this.#lease()], [ttl, this.#token(), this.#token()]);
    if (ttl === '20') await this.#subject.sleep(45);
  }

  async #run(name: keyof Scripts, keys: readonly string[], args: readonly string[]): Promise<Reply> {
    const script = SCRIPTS[name];
    const how = this.random.chance(0.5) ? ['EVALSHA', script.sha] : ['EVAL', sourceOf(script)];
    const count = this.random.chance(0.02) ? this.random.pick(NUMBERS) : String(keys.length);
    return this.#execute(...how, count, ...keys, ...args);
  }

  // What nobody sends

  async #vandalise(): Promise<void> {
    const [key, garbage] = [this.#any(), this.random.pick(GARBAGE)];
    const how = this.random.below(5);
    if (how === 0) await this.#execute('SET', key, garbage);
    else if (how === 1) await this.#execute('RPUSH', key, garbage);
    else if (how === 2) await this.#execute('HSET', this.#meta(), this.random.pick(['bytes:main', 'ordinal', 'time']), garbage);
    else if (how === 3) await this.#execute('HSET', this.#streams(), this.random.pick(STREAMS), garbage);
    else await this.#execute('DEL', key, this.#any());
  }

  async #command(): Promise<void> {
    const [key, value] = [this.#any(), this.random.pick(GARBAGE)];
    const number = () => this.random.pick(NUMBERS);
    // None that is over before the sequence is.
    const ttl = () => this.random.pick(NUMBERS.filter((text) => !/^[1-9]\d{0,2}$/.test(text)));
    const commands: readonly string[][] = [
      ['GET', key],
      [
        'SET',
        key,
        value,
        ...this.random.pick([[], ['NX'], ['XX'], ['PX', '5000'], ['PX', ttl()], ['NX', 'XX'], ['PX'], ['nx', 'px', '9000'], ['what']]),
      ],
      ['PEXPIRE', key, ttl()],
      ['PTTL', 'q:none'],
      ['PERSIST', key],
      ['GETRANGE', key, number(), number()],
      ['COPY', key, key],
      ['LINDEX', key, number()],
      ['LRANGE', key, number(), number()],
      ['LTRIM', key, number(), number()],
      ['LLEN', key],
      ['RPUSH', key, value, value],
      ['HGET', key, 'f'],
      ['HMGET', key, 'f', 'settings', 'bytes:main'],
      ['HSET', key, 'f', value, ...this.random.pick([[], ['g']])],
      ['HSETNX', key, this.random.pick(['f', 'settings']), value],
      ['HINCRBY', key, this.random.pick(['f', 'bytes:main']), number()],
      ['HDEL', key, 'f', this.random.pick(STREAMS)],
      ['HLEN', key],
      ['HSCAN', key, this.random.pick(['0', '0', 'x']), ...this.random.pick([[], ['COUNT', number()], ['COUNT'], ['what', '1']])],
      ['TIME', ...this.random.pick([[], ['now']])],
      ['PING', ...this.random.pick([[], ['text']])],
      ['SCRIPT', 'LOAD', sourceOf(SCRIPTS.append)],
      this.random.chance(0.2) ? ['SCRIPT', 'FLUSH'] : ['PING'],
      ['SCRIPT', 'EXISTS', SCRIPTS.append.sha, 'none'],
      [
        'EVALSHA',
        this.random.pick(['none', 'a'.repeat(40), SCRIPTS.probe.sha.toUpperCase()]),
        this.random.pick(['0', '1']),
        key,
        'settings',
      ],
      ['EVAL', `return redis.call('${this.random.pick(['GET', 'LLEN', 'HGET', 'SET'])}', KEYS[1])`, '1', key],
      [
        'EVAL',
        this.random.pick(["return { 1.7, 'a', false, 2 }", 'return true', 'return', 'return -2.5', "return redis.error_reply('plain')"]),
        '0',
      ],
      ['EVAL', '#!lua flags=no-writes\nreturn redis.call("DEL", KEYS[1])', '1', key],
      ['EVAL', '#!lua flags=unknown\nreturn 1', '0'],
    ];
    const command = this.random.pick(commands);
    // One argument less, now and then.
    await this.#execute(...(this.random.chance(0.1) && command.length > 1 ? command.slice(0, -1) : command));
  }

  async #execute(...args: string[]): Promise<Reply> {
    // An identity, of 24 bytes, holds the time of its push.
    const shown = args.map((arg) => (arg.length === 24 ? '<identity>' : JSON.stringify(arg.slice(0, 40))));
    const { reply, text } = await this.#subject.execute(...args);
    // What is left to a lease is as many ms as real time had to pass.
    this.transcript.push(`${shown.join(' ')} → ${text.replace(/^(\[0, ".*", )\d+\]$/, '$1<ms>]')}`);
    return reply;
  }

  // What they are made of

  #list(): string {
    return this.random.chance(0.95) ? KEYS.list(this.random.pick(['main', 'main', 'copy']), 0) : this.#any();
  }

  #streams(): string {
    return this.random.chance(0.97) ? KEYS.streams(0) : this.#any();
  }

  #meta(): string {
    return this.random.chance(0.97) ? KEYS.meta(0) : this.#any();
  }

  #lease(): string {
    return this.random.chance(0.95) ? KEYS.lease('main', 0) : this.#any();
  }

  #any(): string {
    return this.random.pick([
      ...[KEYS.list('main', 0), KEYS.list('copy', 0), KEYS.streams(0), KEYS.meta(0), KEYS.lease('main', 0)],
      ...[KEYS.list('main', 1), KEYS.meta(1), KEYS.installation, 'q:other'],
    ]);
  }

  #place(): { readonly seq: number; readonly crc: number } {
    return { seq: this.random.chance(0.9) ? this.random.below(5) : this.random.pick(SEQS), crc: this.random.below(2 ** 32) };
  }

  #watermarks(): string {
    return Array.from({ length: this.random.below(3) }, () => latin1(packStreamAt(this.random.pick(STREAMS), this.#place()))).join('');
  }

  /** Now and then cut off in the middle. */
  #torn(text: string): string {
    return this.random.chance(0.04) ? text.slice(0, this.random.below(text.length + 1)) : text;
  }

  #settings(): string {
    return this.random.chance(0.97) ? SETTINGS : this.random.pick(['other\r\nsettings', '', 'x']);
  }

  #producer(): string {
    return this.random.chance(0.95) ? 'shop' : this.random.pick(PRODUCERS);
  }

  #token(): string {
    return this.random.pick(TOKENS);
  }

  #ttl(): string {
    return this.random.chance(0.9) ? '5000' : this.random.pick(['20', '0', '-1', 'x', '9223372036854775807']);
  }

  #number(usual: string): string {
    return this.random.chance(0.9) ? usual : this.random.pick(NUMBERS);
  }
}

function sourceOf({ source }: Script): string {
  return latin1(Buffer.from(source, 'utf8'));
}

/** Where frames of an append to a list are kept. */
function framesOf(list: string, random: Buffer): string {
  return `${list.replace(':list:', ':frames:')}:${random.toString('hex')}`;
}

function latin1(buffer: Buffer): string {
  return buffer.toString('latin1');
}
