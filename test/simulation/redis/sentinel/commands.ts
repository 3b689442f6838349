import type { Channels, Client } from '../channels.ts';
import { NotSimulated } from '../commands.ts';
import { ErrorReply, OK, StatusReply, type Reply } from '../replies.ts';
import type { SimSentinel } from './sentinel.ts';

const PORT = '6379';
const SENTINEL_PORT = '26379';

/** What a Sentinel answers. @throws {ErrorReply} */
export function answer(sentinel: SimSentinel, channels: Channels, args: readonly string[], client: Client): Reply {
  const [name, ...rest] = args;
  switch (name!.toUpperCase()) {
    case 'PING':
      return new StatusReply('PONG');
    case 'CLIENT':
      return OK;
    case 'SUBSCRIBE':
      return channels.subscribe(client, rest);
    case 'UNSUBSCRIBE':
      return channels.unsubscribe(client, rest);
    case 'SENTINEL':
      return aboutGroup(sentinel, rest);
    default:
      throw new NotSimulated(`${name} by a Sentinel`);
  }
}

function aboutGroup(sentinel: SimSentinel, [subcommand = '', ...args]: readonly string[]): Reply {
  const { options, ballot } = sentinel;
  switch (subcommand.toUpperCase()) {
    case 'GET-MASTER-ADDR-BY-NAME':
      return args[0] === options.name ? sentinel.address : null;
    case 'MASTER':
      checkName(sentinel, args[0]);
      return primaryFields(sentinel);
    case 'REPLICAS':
    case 'SLAVES':
      checkName(sentinel, args[0]);
      return sentinel.replicas.map((host) => ['name', `${host}:${PORT}`, 'ip', host, 'port', PORT, 'flags', 'slave']);
    case 'SENTINELS':
      checkName(sentinel, args[0]);
      return options.sentinels
        .filter((host) => host !== sentinel.host.name)
        .map((host) => ['name', host, 'ip', host, 'port', SENTINEL_PORT, 'flags', 'sentinel']);
    case 'IS-MASTER-DOWN-BY-ADDR': {
      const [host, , epoch, candidate] = args;
      const isDown = host === sentinel.primary && sentinel.isDown ? 1 : 0;
      if (candidate === '*') {
        ballot.heard(Number(epoch));
        return [isDown, '*', 0];
      }
      return [isDown, ...sentinel.votesFor(Number(epoch), candidate!)];
    }
    case 'HELLO':
      sentinel.heard(Number(args[0]), args[1]!, Number(args[2]));
      return OK;
    default:
      throw new NotSimulated(`SENTINEL ${subcommand}`);
  }
}

function primaryFields(sentinel: SimSentinel): Reply {
  const { options, primary, configEpoch, replicas, isDown } = sentinel;
  return [
    ...['name', options.name],
    ...['ip', primary],
    ...['port', PORT],
    ...['flags', isDown ? 's_down,master' : 'master'],
    ...['down-after-milliseconds', String(options.downAfterMs)],
    ...['config-epoch', String(configEpoch)],
    ...['num-slaves', String(replicas.length)],
    ...['num-other-sentinels', String(options.sentinels.length - 1)],
    ...['quorum', String(options.quorum)],
    ...['failover-timeout', String(options.failoverTimeoutMs)],
  ];
}

function checkName(sentinel: SimSentinel, name: string | undefined): void {
  if (name !== sentinel.options.name) throw new ErrorReply('ERR No such master with that name');
}
