import { SyncError } from './errors.ts';
import { isLoopback } from './network.ts';

/** An address to listen on, and what is asked of those who come there. */
export interface Binding {
  /** The option that names the address, such as `listen.tcp.host`. */
  readonly option: string;
  readonly host: string;
  /** `nothing`: whoever reaches the address may use what is there. */
  readonly asks: 'token' | 'certificate' | 'nothing';
  /** For people: who is let in for nothing, and what to set against that. */
  readonly fault: string;
}

/** A door for producers, whatever they speak there. */
export function producerDoor(option: string, host: string, asks: Binding['asks']): Binding {
  return {
    option,
    host,
    asks,
    fault: 'nobody is asked for a token; set token (SYNCLINE_TOKEN), producers or tokensFile, or listen on 127.0.0.1',
  };
}

export function adminDoor(host: string, token: string | undefined): Binding {
  const fault = 'metrics and status ask nobody for a token; set listen.admin.token, or listen on 127.0.0.1 and use healthPort for health';
  return { option: 'listen.admin.host', host, asks: token === undefined ? 'nothing' : 'token', fault };
}

/** Why an address must not be listened on; undefined when it may: others cannot reach it, or are asked who they are. */
export function bindFault({ host, asks, fault }: Binding): string | undefined {
  return asks === 'nothing' && !isLoopback(host) ? `is ${host}, which others can reach, but ${fault}` : undefined;
}

/** @throws {SyncError} `listen_unprotected` as {@link bindFault} says. */
export function checkBind(binding: Binding): void {
  const fault = bindFault(binding);
  if (fault !== undefined) throw new SyncError('listen_unprotected', `${binding.option} ${fault}`);
}
