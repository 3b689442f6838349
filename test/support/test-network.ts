import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Where a process runs: an address to listen on, and what its command begins with to be there. */
export interface Site {
  readonly address: string;
  /** As in `ip netns exec NAME`; the process that comes of it has the same pid. */
  readonly prefix: readonly string[];
}

export const LOOPBACK: Site = { address: '127.0.0.1', prefix: [] };

/** A site that can be cut off from others. */
export interface NetworkHost extends Site {
  /** From now on, what travels between this host and these addresses vanishes, both ways, and nobody is told. */
  cutOff(addresses: readonly string[]): void;
  /** Ends that. */
  heal(): void;
}

/** A bridge of this machine with hosts of their own on it: network namespaces, of Linux. */
export interface TestNetwork {
  /** This machine. */
  readonly here: Site;
  /** By the names that were asked for. */
  readonly hosts: ReadonlyMap<string, NetworkHost>;
  /** Removes everything; what still runs in a host loses its network. */
  close(): void;
}

const RANGE = '10.213';
const TAG = 'syn';
const MAX_TRIES = 50;
let networkCount = 0;

/** Makes a network with these hosts; a text that says why when this machine does not allow it. */
export function createTestNetwork(names: readonly string[]): TestNetwork | string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'network namespaces need root on Linux';
  if (spawnSync('ip', ['-V']).status !== 0) return 'network namespaces need iproute2';
  removeStale();
  const id = `${TAG}${process.pid}x${networkCount++}`;
  const made: string[] = [];
  const close = () => {
    process.off('exit', close);
    for (const name of made.splice(0)) {
      spawnSync('ip', ['netns', 'del', name]);
      // What was cut off keeps its namespace until its connections have timed out, and with it the way there.
      spawnSync('ip', ['link', 'del', vethOf(name)]);
    }
    spawnSync('ip', ['link', 'del', id]);
  };
  process.on('exit', close);
  try {
    const subnet = freeSubnet();
    const here: Site = { address: `${subnet}.1`, prefix: [] };
    ip('link', 'add', id, 'type', 'bridge');
    ip('addr', 'add', `${here.address}/24`, 'dev', id);
    ip('link', 'set', id, 'up');
    const hosts = new Map(
      names.map((name, i) => {
        const space = `${id}-${i}`;
        made.push(space);
        return [name, createHost(space, id, `${subnet}.${i + 2}`)];
      }),
    );
    return { here, hosts, close };
  } catch (error) {
    close();
    return `no network namespaces here: ${(error as Error).message}`;
  }
}

function createHost(space: string, bridge: string, address: string): NetworkHost {
  const veth = vethOf(space);
  const prefix = ['ip', 'netns', 'exec', space];
  ip('netns', 'add', space);
  ip('link', 'add', veth, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
  ip('link', 'set', veth, 'master', bridge);
  ip('link', 'set', veth, 'up');
  ip('-n', space, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
  ip('-n', space, 'link', 'set', 'eth0', 'up');
  ip('-n', space, 'link', 'set', 'lo', 'up');
  // What comes from where no way leads back to is dropped, too.
  ip('netns', 'exec', space, 'sysctl', '-q', '-w', 'net.ipv4.conf.all.rp_filter=1');
  const cut = new Set<string>();
  return {
    address,
    prefix,
    cutOff(addresses) {
      for (const other of addresses) {
        if (cut.has(other)) continue;
        ip('-n', space, 'route', 'add', 'unreachable', `${other}/32`);
        cut.add(other);
      }
    },
    heal() {
      for (const other of cut) ip('-n', space, 'route', 'del', 'unreachable', `${other}/32`);
      cut.clear();
    },
  };
}

/** This machine's end of the way to a host. */
function vethOf(space: string): string {
  return `${space}v`;
}

/** The first three numbers of addresses that nobody on this machine has. */
function freeSubnet(): string {
  const taken = ip('-4', '-o', 'addr', 'show') + ip('-4', 'route', 'show', 'table', 'all');
  for (let i = 0; i < MAX_TRIES; i++) {
    const subnet = `${RANGE}.${1 + Math.floor(Math.random() * 254)}`;
    if (!taken.includes(`${subnet}.`)) return subnet;
  }
  throw new Error(`${RANGE}.0.0/16 is in use`);
}

/** What a process left that was killed: its number is in the names. */
function removeStale(): void {
  const pattern = new RegExp(`\\b${TAG}(\\d+)x\\d+`);
  const isStale = (text: string) => {
    const pid = pattern.exec(text)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  };
  for (const line of ip('netns', 'list').split('\n')) if (isStale(line)) spawnSync('ip', ['netns', 'del', line.split(' ')[0] as string]);
  for (const line of ip('-o', 'link', 'show').split('\n'))
    if (isStale(line)) spawnSync('ip', ['link', 'del', line.split(/:\s+|@/)[1] as string]);
}

/** @throws {Error} with what the command said when it failed. */
function ip(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
  return stdout;
}
