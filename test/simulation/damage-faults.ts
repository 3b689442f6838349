import type { SeededRandom } from '../support/seeded-random.ts';
import type { WatchedRedis } from './checker/watched-redis.ts';
import type { Fault } from './faults.ts';

/** Of an element, without the name of the producer; `docs/queue.md` has the layout. */
const HEADER_BYTES = 47;
const KIND_AT = 29;
const KIND_APART = 2;
/** With it a frame begins; `docs/protocol.md`, "Frames". */
const LENGTH_BYTES = 4;
/** More than a history has. */
const MAX_PARTITIONS = 8;

/** Bits that flip. */
export const DAMAGE_FAULTS: readonly Fault[] = [
  {
    name: 'a bit of a stored element flips while the database stands still',
    unfitFor: 'replicas that are waited for',
    weight: 2,
    maxMs: 10_000,
    strike: ({ servers: { group, mariadb } }, random) => {
      mariadb.host.pause();
      const lists = Array.from({ length: MAX_PARTITIONS }, (_, partition) => `syncline:{${partition}}:list:main`);
      const places = lists.map((list) => [list, group.primaryOf(list)] as const);
      return () => {
        damageStored(places, random);
        mariadb.host.resume();
      };
    },
  },
  {
    name: 'a bit flips on the way between client and node',
    weight: 2,
    maxMs: 20_000,
    strike: ({ network }, random) => {
      const stop = () => {
        if (network.interfere === interfere) network.interfere = undefined;
      };
      const interfere: NonNullable<typeof network.interfere> = ({ message }) => {
        if (!(message instanceof Uint8Array) || !random.chance(0.3)) return undefined;
        stop();
        // Of the length as often as of all that follows: what comes of that is not a matter of checksums alone.
        const at = random.below(random.chance(0.5) ? Math.min(LENGTH_BYTES, message.length) : message.length);
        return { arrives: flip(message, at, random), isWhole: true, afterwards: () => {} };
      };
      network.interfere = interfere;
      return stop;
    },
  },
];

/** Damages one element of some list that has any, or what is kept apart for it. */
function damageStored(places: readonly (readonly [list: string, redis: WatchedRedis])[], random: SeededRandom): void {
  const filled = places.filter(([list, redis]) => redis.host.isUp && Number(redis.execute(['LLEN', list])) > 0);
  if (filled.length === 0) return;
  const [key, redis] = random.pick(filled);
  const elements = redis.execute(['LRANGE', key, '0', '-1']) as string[];
  const at = random.below(elements.length);
  redis.damages++;
  const element = Buffer.from(elements[at]!, 'latin1');
  if (element[KIND_AT] === KIND_APART && random.chance(0.5)) {
    damageFrames(`${key.replace(':list:', ':frames:')}:${element.toString('hex', KIND_AT - 8, KIND_AT)}`, redis, random);
    return;
  }
  redis.execute(['DEL', key]);
  redis.execute(['RPUSH', key, ...elements.map((element, i) => (i === at ? damageElement(element, random) : element))]);
}

/** Some bit is another, or all is gone. */
function damageFrames(key: string, redis: WatchedRedis, random: SeededRandom): void {
  const frames = redis.execute(['GET', key]);
  redis.execute(['DEL', key]);
  if (typeof frames !== 'string' || random.chance(0.5)) return;
  const bytes = Buffer.from(frames, 'latin1');
  redis.execute(['SET', key, Buffer.from(flip(bytes, random.below(bytes.length), random)).toString('latin1')]);
}

/** Some bit is another: as often one of the header, which is short, as one of the frame. */
function damageElement(element: string, random: SeededRandom): string {
  const bytes = Buffer.from(element, 'latin1');
  const at = random.chance(0.5) ? random.below(HEADER_BYTES) : random.below(bytes.length);
  return Buffer.from(flip(bytes, at, random)).toString('latin1');
}

function flip(bytes: Uint8Array, at: number, random: SeededRandom): Uint8Array {
  const damaged = Uint8Array.from(bytes);
  damaged[at] = damaged[at]! ^ (1 << random.below(8));
  return damaged;
}
