import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endWithUs } from '../../../src/chaos/end-with-us.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { freePort } from '../../../test/support/free-port.ts';

export interface SyslogNgServer extends AsyncDisposable {
  readonly port: number;
}

/** Lines that come over TCP are pushed to the list `list` of a Redis on 127.0.0.1. */
export async function startSyslogNg(redisPort: number, list: string): Promise<SyslogNgServer> {
  await using starting = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'syncline-syslog-ng-'));
  starting.defer(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const file = join(folder, 'syslog-ng.conf');
  await writeFile(file, configuration(port, redisPort, list));
  const args = ['--foreground', '--stderr', '--no-caps', '--cfgfile', file, '--persist-file', join(folder, 'persist')];
  const child = spawn('syslog-ng', [...args, '--pidfile', join(folder, 'pid'), '--control', join(folder, 'control')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  endWithUs(child);
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors = `${errors}${chunk.toString()}`.slice(-4000)));
  const closed = once(child, 'close');
  starting.defer(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  await eventually(async () => {
    if (child.exitCode !== null) return;
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
  });
  if (child.exitCode !== null) throw new Error(`syslog-ng ended at its start: ${errors}`);
  const running = starting.move();
  return { port, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/**
 * As the administration guide recommends: the redis() destination sends batches through a pipeline; the window of each of the
 * 10 connections of the source, a tenth of log-iw-size(), is larger than a batch; the destination keeps no less than the
 * source lets in; and flow-control makes the sender wait where messages would be dropped. More than one of workers() would
 * change the order.
 */
function configuration(port: number, redisPort: number, list: string): string {
  return `@version: 3.35
source s_changes {
  network(
    ip("127.0.0.1") port(${port}) transport("tcp") flags(no-parse)
    max-connections(10) log-iw-size(100000) log-fetch-limit(1000)
  );
};
destination d_redis {
  redis(
    host("127.0.0.1") port(${redisPort}) command("RPUSH" "${list}" "$MSG")
    batch-lines(1000) batch-timeout(100) log-fifo-size(100000)
  );
};
log { source(s_changes); destination(d_redis); flags(flow-control); };
`;
}
