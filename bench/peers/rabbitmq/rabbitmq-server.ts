import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endWithUs } from '../../../src/chaos/end-with-us.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { freePort } from '../../../test/support/free-port.ts';
import type { QueueServer } from '../pipeline.ts';

/** Not the one on the path, which runs as another user, in the folders of the system. */
const RABBITMQ_SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';

const START_TIMEOUT_MS = 60_000;

/** The packages of Debian that are not installed. */
export function rabbitmqMissing(): string[] {
  return existsSync(RABBITMQ_SERVER) ? [] : ['rabbitmq-server'];
}

/** Starts a RabbitMQ, and the port mapper that Erlang wants, on free ports of 127.0.0.1 with a folder of their own. */
export async function startRabbitmq(): Promise<QueueServer> {
  await using starting = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'syncline-rabbitmq-'));
  starting.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  const [port, distributionPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  const config = join(folder, 'rabbitmq.conf');
  const plugins = join(folder, 'enabled_plugins');
  const logs = join(folder, 'log');
  await writeFile(config, 'log.file.level = error\n');
  await writeFile(plugins, '[].\n');
  await mkdir(logs);
  const env = {
    PATH: process.env['PATH'] ?? '',
    LANG: 'C.UTF-8',
    // For the cookie of Erlang.
    HOME: folder,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_NODENAME: `syncline-${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: logs,
    RABBITMQ_CONFIG_FILE: config,
    RABBITMQ_CONF_ENV_FILE: join(folder, 'none'),
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    // Else a shell stays between us and the server, which would live on when that is killed.
    RUNNING_UNDER_SYSTEMD: 'true',
  };
  starting.adopt(launch('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'], env), end);
  // Else the server starts one that stays.
  await eventually(() => answers(epmdPort));
  const output = join(folder, 'output');
  const server = starting.adopt(launch('sh', ['-c', `exec ${RABBITMQ_SERVER} >${output} 2>&1`], env), end);
  await eventually(async () => {
    if (server.exitCode !== null) return;
    await answers(port);
  }, START_TIMEOUT_MS);
  if (server.exitCode !== null) throw new Error(`rabbitmq-server ended at its start: ${await readFile(output, 'utf8')}`);
  const running = starting.move();
  return { variables: { AMQP_URL: `amqp://127.0.0.1:${port}` }, close: () => running.disposeAsync() };
}

function launch(program: string, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  const child = spawn(program, args, { env, stdio: 'ignore' });
  endWithUs(child);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Rejects when nobody listens on the port. */
async function answers(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
}
