import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { Certificate } from './certificate.ts';
import { freePort } from './free-port.ts';
import { LOOPBACK, type Site } from './test-network.ts';

/** A Redis of its own in a temporary folder. */
export interface RedisServer {
  readonly address: string;
  readonly port: number;
  readonly url: string;
  readonly dir: string;
  /** Of the process that runs now. */
  readonly pid: number;
  readonly running: boolean;
  /** Ends the process with a signal, and resolves when it is gone. */
  kill(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** Starts it again, on the same port and folder, after stopping it if it runs. */
  restart(): Promise<void>;
  /** Runs one command and gives its raw reply; rejects with an error reply. */
  command(...args: string[]): Promise<string>;
  /** Stops it and removes its folder. */
  close(): Promise<void>;
}

export interface RedisServerOptions {
  /** Further arguments, as on the command line. Without any, nothing is saved to disk. */
  readonly args?: readonly string[];
  readonly port?: number;
  /** A folder that is kept. */
  readonly dir?: string;
  /** TLS on the port, and towards other servers; without TLS it listens nowhere. */
  readonly tls?: Certificate;
  /** For `command`, when the default user needs one. */
  readonly password?: string;
  /** A configuration file with which it runs as a Sentinel; the file names the port too. */
  readonly sentinel?: string;
  /** A configuration file that it may rewrite, as it does when a Sentinel gives it another role. */
  readonly config?: string;
  /** Where it runs: on loopback when it is left out. */
  readonly site?: Site;
}

const START_TIMEOUT_MS = 20_000;

/** Whether tests with a real Redis can run here; they must in CI. */
export function redisAvailable(): boolean {
  const available = spawnSync('redis-server', ['--version']).status === 0;
  if (!available && process.env['CI'] === 'true') throw new Error('redis-server must be installed where CI=true');
  return available;
}

/** Starts Debian's redis-server; resolves when it answers PING and has loaded its files. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const { address } = options.site ?? LOOPBACK;
  const port = options.port ?? (await freePort());
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'syncline-redis-'));
  let child = await launch(port, dir, options);

  const kill = async (signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL') => {
    const ended = end(child);
    child.kill(signal);
    await ended;
  };
  // A test that ends the process early must not leave a server behind.
  const onExit = () => void child.kill('SIGKILL');
  process.on('exit', onExit);

  return {
    address,
    port,
    dir,
    url: `${options.tls ? 'rediss' : 'redis'}://${address}:${port}`,
    get pid() {
      return child.pid as number;
    },
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    kill,
    restart: async () => {
      await kill('SIGKILL');
      child = await launch(port, dir, options);
    },
    command: (...args) => command(address, port, args, options),
    close: async () => {
      process.off('exit', onExit);
      await kill('SIGKILL');
      if (options.dir === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function launch(port: number, dir: string, options: RedisServerOptions): Promise<ChildProcess> {
  const { tls, site: { address, prefix } = LOOPBACK } = options;
  const listen = tls ? tlsArgs(port, tls) : ['--port', String(port)];
  const args = options.sentinel
    ? [options.sentinel, '--sentinel']
    : [...(options.config ? [options.config] : []), ...listen, '--bind', address, '--dir', dir, '--save', '', ...(options.args ?? [])];
  const [program, ...rest] = [...prefix, 'redis-server', ...args] as [string, ...string[]];
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output = (output + String(chunk)).slice(-4000)));
  child.stderr?.on('data', (chunk: Buffer) => (output = (output + String(chunk)).slice(-4000)));
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(port, options))) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`redis-server ended at its start:\n${output}`);
    if (performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`redis-server did not answer within ${START_TIMEOUT_MS} ms:\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

/** As on the command line; each pair is a line of a configuration file, too. */
export function tlsArgs(port: number, { cert, key, ca }: Certificate): string[] {
  return [
    ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no', '--tls-replication', 'yes', '--tls-cluster', 'yes'],
    ...['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca],
  ];
}

async function answers(port: number, options: RedisServerOptions): Promise<boolean> {
  try {
    return (await command((options.site ?? LOOPBACK).address, port, ['PING'], options)) === '+PONG';
  } catch (error) {
    return error instanceof Error && /^(NOAUTH|NOPERM)/.test(error.message);
  }
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

/** One command over a connection of its own; a reply that is longer than one line comes with its framing. */
function command(
  address: string,
  port: number,
  args: readonly string[],
  { password, tls }: Pick<RedisServerOptions, 'password' | 'tls'>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls ? connectTls({ port, host: address, ...filesOf(tls), rejectUnauthorized: false }) : connectTcp(port, address);
    let reply = '';
    let skip = password === undefined ? 0 : 1;
    socket.setTimeout(10_000, () => socket.destroy(new Error('redis did not answer within 10 s')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('redis closed the connection')));
    socket.on('data', (chunk) => {
      reply += String(chunk);
      for (; skip > 0 && reply.includes('\r\n'); skip--) reply = reply.slice(reply.indexOf('\r\n') + 2);
      if (skip > 0 || !isComplete(reply)) return;
      socket.end();
      const text = reply.slice(0, -2);
      if (text.startsWith('-')) reject(new Error(text.slice(1)));
      else resolve(text);
    });
    if (password !== undefined) socket.write(encode(['AUTH', password]));
    socket.write(encode(args));
  });
}

/** For servers that ask for a certificate. */
function filesOf({ cert, key }: Certificate): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

function encode(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`;
}

function isComplete(reply: string): boolean {
  if (!reply.endsWith('\r\n')) return false;
  if (!reply.startsWith('$') || reply.startsWith('$-1')) return true;
  const lineEnd = reply.indexOf('\r\n');
  return reply.length >= lineEnd + 2 + Number(reply.slice(1, lineEnd)) + 2;
}
