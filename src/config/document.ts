import { optionEntries, placeName, type OptionEntry } from './catalogue.ts';
import { formatBytes } from './option.ts';

/** `docs/configuration.md`. */
export function configurationPage(): string {
  const entries = optionEntries();
  const parts = entries.filter((entry) => entry.path.length === 1 && isPart(entry));
  const single = entries.filter((entry) => entry.path.length === 1 && !isPart(entry));
  return [
    HEAD,
    '## At the top',
    optionTable(single),
    ...parts.flatMap((part) => {
      const inside = entries.filter((entry) => entry.path[0] === part.path[0] && entry.path.length > 1 && !isPart(entry));
      return [`## ${placeName(part.path)}`, part.description ?? '', optionTable(inside)];
    }),
    EXAMPLES,
  ].join('\n\n');
}

const HEAD = `<!-- Generated from src/config/options.ts by scripts/generate-docs.ts; edit there. -->
# Configuration

Nothing needs to be configured: \`syncline start\` runs with an embedded queue and an embedded sink below \`./syncline-data\`, on
loopback. Options come from three places, the later winning:

1. the defaults below,
2. \`syncline.yaml\` in the current folder, or the file that \`--config\` or \`SYNCLINE_CONFIG\` names,
3. environment variables.

\`syncline init\` writes a \`syncline.yaml\` with every option in it, commented out; \`syncline check-config\` says whether one is right
and what comes out. An unknown option or variable is an error that names the nearest right one, and everything that is wrong is
reported at once, with its line. \`docs/syncline.schema.json\` is the JSON Schema of the file, for editors.

A running server reads all of it again at SIGHUP. Options that change at a *reload* then count at once; of those that change at a
*restart* the server says that they wait for one, and goes on with what it has; of the URLs of queue and sink, user and password
count at once. A configuration that is wrong changes nothing. [operations.md](operations.md#reload) says more.

Sizes may be written as text: \`8 MiB\`, \`512 kB\`. An empty environment variable counts as not set. Paths are relative to the
configuration file when they are set there, else to the current folder. Secrets need not stand in the file: use variables, or
\`tokenFile\` and \`urlFile\`. Special characters of a password in a URL are percent-encoded: \`%40\` for \`@\`, \`%2F\` for \`/\`.`;

const EXAMPLES = `## Examples

Redis and MariaDB, one producer, from the environment alone:

\`\`\`sh
SYNCLINE_QUEUE=redis://127.0.0.1:6379 SYNCLINE_SINK=mysql://syncline:secret@127.0.0.1:3306/shop SYNCLINE_TOKEN=default.secret syncline start
\`\`\`

Two producers, tables that belong together in one partition, TLS to Redis:

\`\`\`yaml
producers:
  - name: shop
    tokens: ["sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"]   # syncline token create shop
  - name: erp
    tokens: ["sha256:ef92b778bafe771e89245b89ecbc08a44a4e166c06659911881f383d4473e94f"]
queue:
  url: rediss://redis.internal:6380/0
  tls: { ca: /etc/syncline/redis-ca.pem }
sinks:
  - url: mysql://syncline@db.internal:3306/shop
    schema: strict
tables:
  orders:      { partitionBy: { group: order, columns: [id] } }
  order_items: { partitionBy: { group: order, columns: [order_id] } }
\`\`\`
`;

/** Whether options stand below it. */
function isPart({ kind, path }: OptionEntry): boolean {
  return (
    kind === 'section' ||
    kind === 'names' ||
    (kind === 'list' && optionEntries().some((other) => other.path.length > path.length && path.every((part, i) => part === other.path[i])))
  );
}

function optionTable(entries: readonly OptionEntry[]): string {
  const rows = entries.map((entry) => {
    const variable = entry.env === undefined ? '' : `\`${entry.env}\``;
    return `| \`${placeName(entry.path)}\` | ${describeDefault(entry)} | ${variable} | ${entry.takesEffect ?? ''} | ${entry.description ?? ''}${describeRange(entry)} |`;
  });
  return ['| option | default | variable | changes at | what it does |', '|---|---|---|---|---|', ...rows].join('\n');
}

/** What holds when the option is not set, as Markdown. */
export function describeDefault(entry: OptionEntry): string {
  if (entry.fallback !== undefined) return entry.fallback;
  if (entry.required) return 'required';
  if (entry.default === undefined) return 'none';
  if (typeof entry.default === 'number') return `${entry.unit === 'bytes' ? formatBytes(entry.default) : entry.default}${suffixOf(entry)}`;
  if (Array.isArray(entry.default)) return 'none';
  return `\`${String(entry.default)}\``;
}

function describeRange(entry: OptionEntry): string {
  if (entry.values !== undefined) return ` One of ${entry.values.map((value) => `\`${value}\``).join(', ')}.`;
  if (entry.minimum === undefined || entry.maximum === undefined || entry.kind !== 'number') return '';
  const show = (count: number) => (entry.unit === 'bytes' ? formatBytes(count) : String(count));
  return ` From ${show(entry.minimum)} to ${show(entry.maximum)}${suffixOf(entry)}.`;
}

function suffixOf({ unit }: OptionEntry): string {
  if (unit === undefined || unit === 'bytes') return '';
  return unit === 'percent' ? ' %' : ` ${unit}`;
}
