import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Authority } from '../../support/certificate.ts';
import { catchClient, catchServer, inTurn, placesOf } from '../catch.ts';
import type { Installation } from '../failpoints.ts';
import type { Ground, Scenario } from '../scenario.ts';

const MAX_PAUSE_MS = 200;

/** Processes end without a word, at random moments and at every failpoint, and are started again. */
export const KILLS: readonly Scenario[] = [
  ...serverKills('services'),
  ...serverKills('embedded'),
  serverKillOverTls(),
  ...clientKills(),
  ...serviceKills(),
];

function serverKills(installation: Installation): Scenario[] {
  const suffix = installation === 'services' ? '' : '-embedded';
  return [
    {
      name: `server-kill${suffix}`,
      what: 'the server is killed at a random moment',
      installation,
      async strike(world, { random }) {
        await delay(random.below(MAX_PAUSE_MS));
        await world.server.stop('SIGKILL');
        world.struck();
        await world.server.start();
      },
    },
    {
      name: `server-kill-at${suffix}`,
      what: 'the server is killed at a failpoint',
      installation,
      async strike(world, turn) {
        await catchServer(world, inTurn(placesOf(world, 'server'), turn), 'kill', turn);
        await world.server.stop('SIGKILL');
        await world.server.start();
      },
    },
    {
      name: `server-lose-at${suffix}`,
      what: 'the server loses a connection at a failpoint',
      installation,
      async strike(world, turn) {
        const places = placesOf(world, 'server').filter(({ loss }) => loss !== undefined);
        await catchServer(world, inTurn(places, turn), 'lose', turn);
      },
    },
    {
      name: `server-delay-at${suffix}`,
      what: 'a thread of the server stands still at a failpoint, for longer than a lease',
      installation,
      async strike(world, turn) {
        await catchServer(world, inTurn(placesOf(world, 'server', ['stop']), turn), 1500, turn);
      },
    },
  ];
}

function serverKillOverTls(): Scenario {
  return {
    name: 'server-kill-tls',
    what: 'the server is killed at a random moment, and its clients connect over TLS and show certificates',
    installation: 'services',
    ground: certificates,
    async strike(world, { random }) {
      await delay(random.below(MAX_PAUSE_MS));
      await world.server.stop('SIGKILL');
      world.struck();
      await world.server.start();
    },
  };
}

function certificates(): Ground {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-drill-tls-'));
  const authority = new Authority(folder, 'authority');
  const [server, client] = [authority.issue('server', { usage: 'serverAuth' }), authority.issue('client', { usage: 'clientAuth' })];
  return {
    options: {
      scheme: 'tcps',
      serverEnv: { SYNCLINE_TLS_CERT: server.cert, SYNCLINE_TLS_KEY: server.key, SYNCLINE_TLS_CLIENT_CA: authority.cert },
      clientEnv: { PRODUCER_CA: authority.cert, PRODUCER_CERT: client.cert, PRODUCER_KEY: client.key },
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}

function clientKills(): Scenario[] {
  return [
    {
      name: 'client-kill',
      what: 'the client is killed at a random moment',
      installation: 'services',
      async strike(world, { random }) {
        await delay(random.below(MAX_PAUSE_MS));
        await world.producer.stop('SIGKILL');
        world.struck();
        world.producer.start();
      },
    },
    {
      name: 'client-kill-at',
      what: 'the client is killed at a failpoint',
      installation: 'services',
      async strike(world, turn) {
        await catchClient(world, inTurn(placesOf(world, 'client'), turn), 'kill', turn);
        await world.producer.stop('SIGKILL');
        world.producer.start();
      },
    },
  ];
}

function serviceKills(): Scenario[] {
  return [
    {
      name: 'redis-kill',
      what: 'Redis is killed and comes back with its file',
      installation: 'services',
      async strike(world, { random }) {
        const { redis } = world.services;
        await delay(random.below(MAX_PAUSE_MS));
        await redis.kill('SIGKILL');
        world.struck();
        await redis.restart();
      },
    },
    {
      name: 'redis-lose',
      what: 'Redis is killed and comes back without its file',
      installation: 'services',
      async strike(world, { random }) {
        const { redis } = world.services;
        await delay(random.below(MAX_PAUSE_MS));
        await redis.kill('SIGKILL');
        world.struck();
        await rm(join(redis.dir, 'appendonlydir'), { recursive: true });
        await redis.restart();
      },
    },
    {
      name: 'redis-flush',
      what: 'FLUSHALL wipes Redis',
      installation: 'services',
      async strike(world, { random }) {
        await delay(random.below(MAX_PAUSE_MS));
        world.struck();
        await world.services.redis.command('FLUSHALL');
      },
    },
    {
      name: 'mariadb-kill',
      what: 'MariaDB is killed',
      installation: 'services',
      async strike(world, { random }) {
        const { mariadb } = world.services;
        await delay(random.below(MAX_PAUSE_MS));
        await mariadb.kill('SIGKILL');
        world.struck();
        await mariadb.restart();
      },
    },
  ];
}
