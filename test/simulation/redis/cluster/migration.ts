import type { Clock } from '../../../../src/core/clock.ts';
import type { Host } from '../../world/host.ts';
import type { Network } from '../../world/network.ts';
import { Together } from '../../world/wire.ts';
import type { Copy } from '../changes.ts';
import { ErrorReply, OK, StatusReply, type Reply } from '../replies.ts';
import type { Store } from '../store.ts';

export interface MigrationParts {
  readonly host: Host;
  readonly network: Network;
  readonly store: Store;
  clock(): Clock;
  commit(): void;
}

const BUSY_KEY = 'BUSYKEY Target key name already exists.';

/** Hands a key to another server, and removes it here when that one has it. Until `done`, the process does nothing else. */
export function migrate(args: readonly string[], parts: MigrationParts, done: (reply: Reply) => void): 'begun' | StatusReply {
  const { host, network, store } = parts;
  const [, target, , key, , timeoutText, ...options] = args;
  const timeoutMs = Number(timeoutText);
  if (store.get(key!) === undefined) return new StatusReply('NOKEY');
  let isOver = false;
  const end = (reply: Reply) => {
    if (isOver) return;
    isOver = true;
    timer.cancel();
    done(reply);
  };
  const timer = parts.clock().setTimer(timeoutMs, () => end(new ErrorReply('IOERR error or timeout reading to target instance')));
  network.dial(host, target!, timeoutMs).then(
    (wire) => {
      if (isOver) return wire.reset();
      wire.open({
        message: (message) => {
          const [reply] = (message as Together).messages as readonly Reply[];
          wire.close();
          if (isOver) return;
          if (reply instanceof ErrorReply) return end(new ErrorReply(`ERR Target instance replied with error: ${reply.message}`));
          store.remove(key!);
          parts.commit();
          end(OK);
        },
        closed: () => end(new ErrorReply('IOERR error or timeout reading to target instance')),
      });
      const [copy] = store.copy([key!]);
      const ttlMs = copy!.expireAtMs === undefined ? 0 : Math.max(1, copy!.expireAtMs - store.wallMs);
      const payload = JSON.stringify(copy!.value);
      wire.send(new Together([['RESTORE-ASKING', key!, String(ttlMs), payload, ...options]]), payload.length + 64);
    },
    () => end(new ErrorReply('IOERR error or timeout connecting to the client')),
  );
  return 'begun';
}

/** Takes a key that {@link migrate} hands over. @throws {ErrorReply} when it is there. */
export function restore([, key, ttl, payload, ...options]: readonly string[], store: Store): Reply {
  const isReplaced = options.some((option) => option.toUpperCase() === 'REPLACE');
  if (store.get(key!) !== undefined) {
    if (!isReplaced) throw new ErrorReply(BUSY_KEY);
    store.remove(key!);
  }
  const expireAtMs = Number(ttl) === 0 ? undefined : store.wallMs + Number(ttl);
  store.put({ key: key!, value: JSON.parse(payload!) as Copy[number]['value'], expireAtMs });
  return OK;
}
