import { catchServer, inTurn, placesOf } from '../catch.ts';
import type { FailpointAction } from '../failpoint-env.ts';
import type { Installation } from '../failpoints.ts';
import type { Scenario } from '../scenario.ts';

const ENDS: readonly FailpointAction[] = ['exit', 'throw', 'crash'];
/** Places that only worker threads get to. */
const WORKER = /apply\/slice|mysql\/(transaction|savepoint|writer)|sqlite\/transaction/;

/** A worker thread ends in the middle of a slice, and with it all its other slices; the process lives. */
export const THREADS: readonly Scenario[] = [threadExit('services', ''), threadExit('embedded', '-embedded')];

function threadExit(installation: Installation, suffix: string): Scenario {
  return {
    name: `thread-exit${suffix}`,
    what: 'a worker thread ends, throws or crashes at a failpoint',
    installation,
    async strike(world, turn) {
      const places = placesOf(world, 'server').filter(({ file }) => WORKER.test(file));
      const ways = places.flatMap((place) => ENDS.map((action) => ({ place, action })));
      const { place, action } = inTurn(ways, turn);
      await catchServer(world, place, action, turn);
    },
  };
}
