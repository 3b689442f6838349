import { optionEntries, type OptionEntry } from './catalogue.ts';
import { formatBytes } from './option.ts';

/** A configuration file with every option in it, commented out, with its description and its default. */
export function configTemplate(): string {
  return `${HEAD}\n${optionEntries().map(templateLines).join('\n')}\n`;
}

const HEAD = `# Configuration of Syncline. Everything is optional, and each option is shown with its default or an example.
# To set one, remove the "#" at the begin of its line and of the sections around it.
# Environment variables, named in brackets, win over this file. "syncline check-config" tells whether it is right.`;

const WIDTH = 116;

function templateLines(entry: OptionEntry): string {
  const { path } = entry;
  const nested = path.filter((part) => part !== '[]');
  const indent = '  '.repeat(nested.length - 1 + path.filter((part) => part === '[]').length);
  const variable = entry.env === undefined ? '' : ` [${entry.env}]`;
  const comment = wrap(`${plain(entry.description ?? '')}${variable}`, WIDTH - indent.length).map((line) => `${indent}# ${line}`);
  // The first option of a list's items carries the dash; the others stand below it.
  const first = path.at(-2) === '[]' && ['name', 'tables'].includes(path.at(-1) as string);
  const begin = first ? `#${indent.slice(2)}- ` : `#${indent}`;
  const lines = [...(path.length === 1 ? [''] : []), ...comment, `${begin}${path.at(-1)}: ${exampleOf(entry)}`.trimEnd()];
  return path.includes('<name>') && path.length === 3 ? [`#  ${EXAMPLE_TABLE}:`, ...lines].join('\n') : lines.join('\n');
}

const EXAMPLE_TABLE = 'order_items';

/** Values for options without a default, so that every line shows what one looks like. */
const EXAMPLES: Readonly<Record<string, string>> = {
  node: 'node-1',
  token: 'default.paste-the-secret-here',
  tokenFile: '/run/secrets/syncline-token',
  'producers.[].name': 'shop',
  tokensFile: 'tokens.jsonl',
  'producers.[].tokens': '[ "sha256:paste-the-64-hex-digits-here" ]',
  'producers.[].certificates': '[ "DNS:shop.example" ]',
  'producers.[].addresses': '[ 10.0.0.0/24 ]',
  'producers.[].rules.[].tables': '[ orders, "stock_*" ]',
  'producers.[].rules.[].operations': '[ insert, update ]',
  'producers.[].rules.[].columns': '[ state, amount ]',
  'ingest.addresses': '[]',
  'queue.url': '"sqlite:"',
  'queue.urlFile': '/run/secrets/queue-url',
  'sinks.[].url': '"sqlite:"',
  'sinks.[].urlFile': '/run/secrets/sink-url',
  'sinks.[].schema': 'evolve',
  'listen.tls.clientCa': '/etc/syncline/client-ca.pem',
  'listen.tls.clientCertificates': 'required',
  'listen.tcp.host': '127.0.0.1',
  'listen.tcp.tls': 'true',
  'listen.web.tls': 'true',
  'listen.tcp.proxyFrom': '[ 10.0.0.0/24 ]',
  'listen.web.host': '127.0.0.1',
  'listen.web.proxyFrom': '[ 10.0.0.0/24 ]',
  'listen.web.origins': '[ "https://shop.example" ]',
  'listen.web.hosts': '[ sync.shop.example ]',
  'listen.udp.host': '127.0.0.1',
  'listen.udp.port': '9503',
  'listen.udp.recvBufferBytes': '4 MiB',
  'producers.[].limits.maxConnections': '20',
  'producers.[].limits.maxBatchChanges': '10000',
  'producers.[].limits.bytesPerSecond': '4 MiB',
  'producers.[].limits.changesPerSecond': '10000',
  'ingest.bytesPerSecond': '64 MiB',
  'ingest.changesPerSecond': '100000',
  'listen.admin.token': 'paste-another-secret-here',
  'listen.admin.tokenFile': '/run/secrets/syncline-admin-token',
  'listen.admin.healthHost': '0.0.0.0',
  'listen.admin.healthPort': '9504',
  'tables.<name>.partitionBy.group': 'order',
  'tables.<name>.partitionBy.columns': '[ order_id ]',
};

function exampleOf(entry: OptionEntry): string {
  const given = EXAMPLES[entry.path.join('.')];
  if (given !== undefined) return given;
  if (entry.kind === 'section' || entry.kind === 'list' || entry.kind === 'names') return '';
  if (entry.path.at(-2) === 'tls' && entry.kind === 'text' && entry.default === undefined) return `/etc/syncline/${entry.path.at(-1)}.pem`;
  if (typeof entry.default === 'number' && entry.unit === 'bytes') return formatBytes(entry.default);
  return typeof entry.default === 'string' && entry.default.endsWith(':') ? `"${entry.default}"` : String(entry.default);
}

/** Markdown to plain text. */
export function plain(markdown: string): string {
  return markdown.replaceAll('`', '');
}

export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}
