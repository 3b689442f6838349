import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Ground, Scenario, Unavailable } from '../scenario.ts';
import type { WorldOptions } from '../fault-world.ts';

const MIB = 1024 * 1024;
/** The spool and Redis' file both begin anew from time to time, and need room for the old and the new. */
const DISK_BYTES = 96 * MIB;
/** MariaDB's own tables and its log take some 120 MiB before the first row. */
const MARIADB_DISK_BYTES = 256 * MIB;
const MAX_FULL_MS = 2_000;
/** A database has room in its files for a while. */
const MAX_UNNOTICED_MS = 5_000;

/** Disks have no byte left, and then have room again. */
export const DISKS: readonly Scenario[] = [
  {
    name: 'spool-disk-full',
    what: "the disk of the client's spool is full for a while",
    installation: 'services',
    ground: () => smallDisk((folder) => ({ spool: join(folder, 'spool') })),
    strike: (world, { random }) => fillFor(random.below(MAX_FULL_MS), join(world.producer.spool, '../ballast'), () => world.struck()),
  },
  {
    name: 'redis-disk-full',
    what: "the disk of Redis' append-only file is full for a while",
    installation: 'services',
    ground: () => smallDisk((folder) => ({ redisDir: folder, redisArgs: ['--auto-aof-rewrite-min-size', '8mb'] })),
    strike: (world, { random }) => fillFor(random.below(MAX_FULL_MS), join(world.services.redis.dir, 'ballast'), () => world.struck()),
  },
  {
    name: 'mariadb-disk-full',
    what: "the disk of MariaDB's data is full for a while, which some statements fail of, and sometimes MariaDB itself ends",
    installation: 'services',
    ground: () => smallDisk((folder) => ({ mariadbDir: folder }), MARIADB_DISK_BYTES),
    async strike(world, { random }) {
      const { mariadb } = world.services;
      const before = world.server.output.length;
      const noticed = () => /sink_full|sink_unavailable/.test(world.server.output.slice(before));
      await fillFor(random.below(MAX_FULL_MS), join(mariadb.datadir, '../../ballast'), () => world.struck(), noticed);
      if (!mariadb.running) await mariadb.restart();
    },
  },
];

function smallDisk(options: (folder: string) => WorldOptions, bytes = DISK_BYTES): Ground | Unavailable {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-disk-'));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'none', folder]).status !== 0) {
    rmSync(folder, { recursive: true });
    return { unavailable: 'this user may not mount a tmpfs' };
  }
  return {
    options: options(folder),
    remove() {
      spawnSync('umount', ['--lazy', folder]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Takes the last byte of a disk, and gives all back after `ms`, or when somebody has noticed, if that comes later. */
async function fillFor(ms: number, ballast: string, filled: () => void, noticed = () => true): Promise<void> {
  const endMs = performance.now() + ms;
  const lastMs = endMs + MAX_UNNOTICED_MS;
  filled();
  do {
    // Whoever else writes there frees some now and then.
    fill(ballast);
    await delay(20);
  } while (performance.now() < endMs || (performance.now() < lastMs && !noticed()));
  rmSync(ballast);
}

function fill(file: string): void {
  for (let bytes = MIB; bytes >= 4096;) {
    try {
      appendFileSync(file, Buffer.alloc(bytes));
    } catch {
      bytes /= 4;
    }
  }
}
