import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { endWithUs } from '../../src/chaos/end-with-us.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { ROOT } from './source-files.ts';
import { LOOPBACK } from './test-network.ts';

/** HAProxy with the repository's own haproxy.cfg, on ports of its own. */
export interface Haproxy {
  /** Where clients connect. */
  readonly port: number;
  readonly url: string;
  /** Where clients connect for HTTP and WebSocket. */
  readonly webPort: number;
  readonly statsPort: number;
  readonly pid: number;
  readonly running: boolean;
  /** Everything that it logged, over all its lives. */
  readonly output: string;
  /** One row of `show stat` for each server of `sync_nodes` and for the frontend: `primary`, `backup`, `FRONTEND`. */
  stats(): Promise<ReadonlyMap<string, HaproxyStats>>;
  /** Ends the process with a signal, and resolves when it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again, with the same ports. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export interface HaproxyStats {
  /** `UP`, `DOWN`, `UP 1/2` while it changes, `OPEN` of a frontend. */
  readonly status: string;
  readonly sessions: number;
  readonly totalSessions: number;
  /** Connections that a rule refused. */
  readonly refused: number;
}

/** Where a node listens. */
export interface NodePorts {
  /** 127.0.0.1 when it is left out. */
  readonly address?: string;
  readonly tcp: number;
  /** Port 1, where nobody listens, when it is left out. */
  readonly web?: number;
  readonly health: number;
}

export interface HaproxyOptions {
  /** More variables of haproxy.cfg, where a test wants other limits. */
  readonly env?: Readonly<Record<string, string>>;
  /** The folder that its own is made in. */
  readonly dir?: string;
}

export const HAPROXY_CONFIG = `${ROOT}haproxy.cfg`;

/** Whether HAProxy is installed; under CI its absence is an error. */
export function haproxyAvailable(): boolean {
  const available = spawnSync('haproxy', ['-v']).status === 0;
  if (!available && process.env['CI'] === 'true') throw new Error('haproxy must be installed where CI=true');
  return available;
}

/** Starts it in front of two nodes. */
export async function startHaproxy(primary: NodePorts, backup: NodePorts, options: HaproxyOptions = {}): Promise<Haproxy> {
  const { env, dir = tmpdir() } = options;
  const folder = mkdtempSync(join(dir, 'syncline-haproxy-'));
  const socket = join(folder, 'admin.sock');
  const [port, webPort, statsPort] = [await freePort(), await freePort(), await freePort()];
  const variables = {
    PATH: process.env['PATH'] ?? '',
    PRIMARY_HOST: primary.address ?? LOOPBACK.address,
    PRIMARY_TCP_PORT: String(primary.tcp),
    PRIMARY_HTTP_PORT: String(primary.web ?? 1),
    PRIMARY_HEALTH_PORT: String(primary.health),
    BACKUP_HOST: backup.address ?? LOOPBACK.address,
    BACKUP_TCP_PORT: String(backup.tcp),
    BACKUP_HTTP_PORT: String(backup.web ?? 1),
    BACKUP_HEALTH_PORT: String(backup.health),
    BALANCER_TCP_BIND: `127.0.0.1:${port}`,
    BALANCER_HTTP_BIND: `127.0.0.1:${webPort}`,
    BALANCER_STATS_BIND: `127.0.0.1:${statsPort}`,
    BALANCER_SOCKET: socket,
    BALANCER_USER: userInfo().username,
    BALANCER_GROUP: spawnSync('id', ['-gn'], { encoding: 'utf8' }).stdout.trim(),
    ...env,
  };
  let output = '';
  const launch = async () => {
    const child = spawn('haproxy', ['-f', HAPROXY_CONFIG, '-db'], { env: variables, stdio: ['ignore', 'pipe', 'pipe'] });
    endWithUs(child);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await eventually(async () => {
      if (ended(child)) throw new Error(`haproxy ended at its start: ${output.slice(-2000)}`);
      await ask(socket, 'show info');
    });
    return child;
  };
  let child = await launch();
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    if (ended(child)) return;
    const gone = new Promise((resolve) => void child.once('exit', resolve));
    child.kill(signal);
    await gone;
  };
  return {
    port,
    url: `tcp://127.0.0.1:${port}`,
    webPort,
    statsPort,
    get pid() {
      return child.pid as number;
    },
    get running() {
      return !ended(child);
    },
    get output() {
      return output;
    },
    stats: async () => readStats(await ask(socket, 'show stat')),
    kill,
    async restart() {
      await kill();
      child = await launch();
    },
    async close() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** One command on the administration socket. */
async function ask(path: string, command: string): Promise<string> {
  const socket = connect(path);
  socket.write(`${command}\n`);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

function readStats(csv: string): Map<string, HaproxyStats> {
  const [head = '', ...lines] = csv.trim().replace(/^# /, '').split('\n');
  const names = head.split(',');
  const rows = lines.map((line) => {
    const fields = line.split(',');
    return (name: string) => fields[names.indexOf(name)] ?? '';
  });
  const ours = rows.filter((row) => row('pxname') === 'sync_nodes' || row('pxname') === 'sync_tcp');
  return new Map(
    ours.map((row) => [
      row('svname'),
      { status: row('status'), sessions: Number(row('scur')), totalSessions: Number(row('stot')), refused: Number(row('dcon')) },
    ]),
  );
}
