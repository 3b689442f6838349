import { isDeepStrictEqual } from 'node:util';
import { isLoopback } from '../core/network.ts';
import { optionEntries, placeName, type OptionEntry } from './catalogue.ts';
import type { Config, QueueConfig, SinkConfig } from './config.ts';
import { valueAt } from './problem.ts';

/** What becomes of a configuration that was loaded while a server runs with another one. */
export interface Reload {
  /** What the server runs with from now on. */
  readonly config: Config;
  /** Options that change now, as people write them: `ingest.creditBytes`. */
  readonly changed: readonly string[];
  /** Options that differ and wait for a restart. */
  readonly waiting: readonly string[];
}

/**
 * Takes from `loaded` what may change while a server runs, as the schema says of each option, and leaves the rest as it
 * is in `running`. Nothing is taken that would open a door: without tokens a server listens on loopback only.
 */
export function planReload(running: Config, loaded: Config): Reload {
  const config: Config = {
    ...running,
    ...producersOf(running, loaded),
    queue: queueOf(running.queue, loaded.queue),
    sinks: [withAccess(running.sinks[0], loaded.sinks[0])],
    listen: {
      ...running.listen,
      tls: listenTlsOf(running, loaded),
      udp: udpOf(running, loaded),
      admin: { ...running.listen.admin, token: adminTokenOf(running, loaded) },
    },
    ingest: loaded.ingest,
    apply: { ...loaded.apply, leaseMs: running.apply.leaseMs },
    retention: loaded.retention,
    log: { ...running.log, level: loaded.log.level },
    warnings: loaded.warnings,
  };
  return { config, changed: differences(running, config), waiting: differences(config, loaded) };
}

/** The same place, with what one logs in there with. A URL without its user and password is the place. */
function withAccess<T extends QueueConfig | SinkConfig>(running: T, loaded: T): T {
  if (placeOf(running.url) !== placeOf(loaded.url)) return running;
  const { tls: _, ...rest } = running;
  return { ...(rest as T), url: loaded.url, ...(loaded.tls === undefined ? {} : { tls: loaded.tls }) };
}

/** Who one is to Sentinels belongs to where they are. */
function queueOf(running: QueueConfig, loaded: QueueConfig): QueueConfig {
  if (placeOf(running.url) !== placeOf(loaded.url)) return running;
  const { sentinel: _, ...rest } = withAccess(running, loaded);
  return { ...rest, ...(loaded.sentinel === undefined ? {} : { sentinel: loaded.sentinel }) };
}

function placeOf(url: string): string {
  const parsed = URL.parse(url);
  // Several hosts, as of Sentinels, are no URL to the platform.
  if (parsed === null || parsed.hostname === '') return url.replace(/^([a-z0-9+.-]+:\/\/)[^/?#]*@/i, '$1');
  parsed.username = '';
  parsed.password = '';
  return parsed.href;
}

function producersOf(running: Config, loaded: Config): Pick<Config, 'token' | 'producers'> {
  // On loopback nobody need be asked; but whoever has a file of tokens now wants somebody to be, and it counts from the restart on.
  const mayBeOpen = isOnLoopback(running) && loaded.tokensFile === undefined;
  const isSafe = loaded.producers.length > 0 || running.tokensFile !== undefined || mayBeOpen;
  const { token, producers } = isSafe ? loaded : running;
  return { token, producers };
}

/** A door begins to speak TLS, or ceases to, when it is opened. */
function listenTlsOf({ listen: { tls } }: Config, loaded: Config): Config['listen']['tls'] {
  return tls === undefined ? undefined : (loaded.listen.tls ?? tls);
}

function isOnLoopback({ listen: { tcp, web, udp } }: Config): boolean {
  return isLoopback(tcp.host) && (!web.enabled || isLoopback(web.host)) && (udp.port === undefined || isLoopback(udp.host));
}

/** Its limits; the door stays where it is, and as open or shut as it is. */
function udpOf({ listen: { udp: running } }: Config, { listen: { udp: loaded } }: Config): Config['listen']['udp'] {
  const { maxDatagramBytes, datagramsPerSecond, datagramsPerSecondPerAddress } = loaded;
  return { ...running, maxDatagramBytes, datagramsPerSecond, datagramsPerSecondPerAddress };
}

function adminTokenOf({ listen: { admin } }: Config, loaded: Config): string | undefined {
  return isLoopback(admin.host) ? loaded.listen.admin.token : (loaded.listen.admin.token ?? admin.token);
}

function differences(before: Config, after: Config): string[] {
  return optionEntries()
    .filter((entry) => isCompared(entry) && !isDeepStrictEqual(valueOf(before, entry), valueOf(after, entry)))
    .map(({ path }) => placeName(path).replace('sinks[]', 'sinks[0]'));
}

/** Lists and maps count as a whole, but for the one sink. */
function isCompared({ path, takesEffect }: OptionEntry): boolean {
  return takesEffect !== undefined && (path.length === 1 || !['producers', 'tables'].includes(path[0] as string));
}

/** What an option came to; of a file that holds a secret, nothing: the secret counts. */
function valueOf(config: Config, { path }: OptionEntry): unknown {
  const name = placeName(path);
  // The token has a producer of its own.
  if (name === 'producers') return config.producers.filter((producer) => producer.name !== 'default' || config.token === undefined);
  if (name === 'listen.admin.healthHost') return config.listen.health?.host;
  if (name === 'listen.admin.healthPort') return config.listen.health?.port;
  return valueAt(
    config,
    path.map((part) => (part === '[]' ? 0 : part)),
  );
}
