import { withoutPassword, type Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { EXIT, parseFlags, UsageError, type Command, type Terminal } from './command.ts';
import { formatBytes } from '../config/option.ts';

export const checkConfig: Command = { name: 'check-config', summary: 'check the configuration and show what comes out', help, run };

function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseFlags(args, { config: { type: 'string', short: 'c' } });
  if (positionals.length > 1) throw new UsageError('check-config takes one file.');
  const config = loadConfig({ file: values.config ?? positionals[0], env: terminal.env, cwd: terminal.cwd });
  terminal.out(describeConfig(config));
  for (const warning of config.warnings) terminal.err(`warning: ${warning}\n`);
  return Promise.resolve(EXIT.ok);
}

/** What matters of a configuration, without secrets. */
export function describeConfig(config: Config): string {
  const { queue, sinks, listen, producers, tables, ingest, apply } = config;
  const [sink] = sinks;
  const who = producers.map(({ name }) => name);
  const at = ({ host, port }: { host: string; port: number }) => `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const lines: [string, string][] = [
    ['node', config.node],
    ['cluster', config.cluster.mode],
    ['data', config.data],
    [
      'queue',
      `${withoutPassword(queue.url)}, ${queue.partitions} partitions${queue.url.startsWith('redis') ? `, keys ${queue.prefix}…` : `, up to ${formatBytes(queue.maxBytes)}`}`,
    ],
    ['sink', `${sink.name}: ${withoutPassword(sink.url)}, schema ${sink.schema}${sink.tls === undefined ? '' : ', TLS'}`],
    ['producers', who.length === 0 ? 'whoever connects' : who.join(', ')],
    [
      'tables',
      tables.size === 0
        ? 'partitioned by their keys'
        : [...tables]
            .map(
              ([name, { partitionBy }]) =>
                `${name} by ${partitionBy === undefined ? 'key' : `${partitionBy.group}(${partitionBy.columns.join(', ')})`}`,
            )
            .join('; '),
    ],
    [
      'tcp',
      `${at(listen.tcp)}${listen.tcp.tls ? describeTls(listen.tls) : ''}${who.length === 0 ? ' (loopback only, because nobody is asked for a token)' : ''}`,
    ],
    ['web', listen.web.enabled ? `${at(listen.web)}, engine ${listen.web.engine}${listen.web.tls ? ', TLS' : ''}` : 'off'],
    ['admin', `${at(listen.admin)}${listen.health === undefined ? '' : `, health also on ${at(listen.health)}`}`],
    [
      'limits',
      `${ingest.maxConnections} connections, frames ${formatBytes(ingest.maxFrameBytes)}, credit ${formatBytes(ingest.creditBytes)}, in flight ${formatBytes(ingest.maxInFlightBytes)}`,
    ],
    [
      'apply',
      `${apply.threads} × ${apply.slicesPerThread} slices of at most ${apply.sliceElements} batches or ${formatBytes(apply.sliceBytes)}`,
    ],
  ];
  const head =
    config.file === undefined
      ? 'configuration is valid (no syncline.yaml; defaults and environment)'
      : `configuration is valid (${config.file} and environment)`;
  return `${head}\n${lines.map(([name, value]) => `  ${name.padEnd(10)} ${value}`).join('\n')}\n`;
}

function describeTls(tls: Config['listen']['tls']): string {
  if (tls === undefined) return '';
  const clients = { off: '', optional: ', certificates of clients optional', required: ', certificates of clients required' };
  const until = new Date(tls.expiresAtMs).toISOString().slice(0, 10);
  return `, TLS as ${tls.names.join(', ') || 'nobody by name'} until ${until}${clients[tls.clientCertificates]}`;
}

function help(): string {
  return `Usage: syncline check-config [FILE]

Reads the configuration as "start" would (FILE or ./syncline.yaml, then the environment), reports everything that is wrong
with it and where, or shows what comes out, without secrets. Connects to nothing.

Exit code: 0 valid, 1 not.
`;
}
