import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ChaosOptions } from '../chaos/run.ts';
import { withoutPassword, type Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { checkSinkUrl } from '../config/urls.ts';
import { isLoopback } from '../core/network.ts';
import { UsageError, type Terminal } from './command.ts';
import { givenToken } from './given-token.ts';
import { ownServer } from './own-server.ts';
import { count, duration } from './text.ts';

export const TARGET_FLAGS = {
  url: { type: 'string', short: 'u' },
  sink: { type: 'string' },
  'token-file': { type: 'string' },
  config: { type: 'string', short: 'c' },
} as const;

interface TargetFlags {
  readonly url?: string;
  readonly sink?: string;
  readonly 'token-file'?: string;
  readonly config?: string;
}

type Target = NonNullable<ChaosOptions['target']>;

/**
 * The server and its database; undefined without --url and --config. A server is never taken from the environment: it
 * must be named to be disturbed.
 */
export function chooseTarget(flags: TargetFlags, terminal: Terminal): ChaosOptions['target'] {
  if (flags.url === undefined && flags.config === undefined) {
    const name = (['sink', 'token-file'] as const).find((one) => flags[one] !== undefined);
    if (name !== undefined) throw new UsageError(`--${name} needs --url, the server to disturb.`);
    return undefined;
  }
  const config = flags.config === undefined ? undefined : loadConfig({ file: flags.config, env: terminal.env, cwd: terminal.cwd });
  const url = flags.url ?? (config === undefined ? '' : ownServer(config).url);
  checkServerUrl(url);
  // A URL that was given gets no token from a configuration file, which may be meant for another server.
  const token = givenToken(flags, terminal) ?? (flags.url === undefined ? config?.token : undefined);
  return { server: { url, token }, sink: sinkOf(flags, config, terminal) };
}

/** Whether it is somebody else's machine that would be disturbed. */
export function mustBeConfirmed({ server, sink }: Target): boolean {
  return !isLoopback(hostOf(server.url)) || (!sink.url.startsWith('sqlite:') && !isLoopback(hostOf(sink.url)));
}

/** What is going to happen, for whoever wonders whether that is the right server. */
export function describePlan(
  { server, sink }: Target,
  { clients, changesPerSecond, durationMs, faults }: Pick<ChaosOptions, 'clients' | 'changesPerSecond' | 'durationMs' | 'faults'>,
): string {
  return `This disturbs ${server.url} for ${duration(durationMs)}: ${count(clients)} clients write about ${count(changesPerSecond)} changes a second to tables
chaos_syncline_… in ${withoutPassword(sink.url)}, which are dropped at the end, while these faults strike:
${faults.map(({ name, what }) => `  ${name.padEnd(14)} ${what}`).join('\n')}
Everybody else who uses this server and this database feels the load and what your commands do. Not for production.`;
}

function checkServerUrl(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed !== undefined && (parsed.username !== '' || parsed.password !== ''))
    throw new UsageError('--url must not carry a password; pass the token with --token-file.');
  if (parsed === undefined || (parsed.protocol !== 'tcp:' && parsed.protocol !== 'tcps:') || parsed.hostname === '')
    throw new UsageError(`--url is of the form tcp://host:9501 or tcps://host:9501, not ${url}`);
}

function sinkOf(flags: TargetFlags, config: Config | undefined, terminal: Terminal): Target['sink'] {
  const written = flags.sink ?? (config === undefined ? terminal.env['SYNCLINE_SINK'] || undefined : undefined);
  if (written === undefined && config === undefined)
    throw new UsageError('name the database that the server applies to, with --sink or SYNCLINE_SINK: what arrives is checked there.');
  const [sink] = config?.sinks ?? [];
  if (written === undefined && sink !== undefined) {
    const url = sink.url === 'sqlite:' ? `sqlite:${resolve(config?.data ?? '.', 'data.db')}` : sink.url;
    return { url: existing(url, terminal.cwd), ...(sink.tls === undefined ? {} : { tls: sink.tls }) };
  }
  const fault = checkSinkUrl(written ?? '');
  if (fault !== undefined) throw new UsageError(`--sink ${fault}`);
  return { url: existing(written ?? '', terminal.cwd) };
}

/** `sqlite:PATH` with an absolute path of a file that exists; other URLs as they are. */
function existing(url: string, cwd: string): string {
  if (!url.startsWith('sqlite:')) return url;
  const written = url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, '');
  if (written === '') throw new UsageError("--sink sqlite: needs the path of the server's file, as in sqlite:syncline-data/data.db");
  const path = resolve(cwd, written);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    throw new UsageError(`--sink names ${path}, and there is no such file; name the one that the server applies to`);
  return `sqlite:${path}`;
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
}
