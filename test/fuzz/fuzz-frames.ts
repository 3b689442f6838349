import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { messageOf } from '../../src/core/errors.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { ClientCase } from './client-case.ts';
import { DatagramCase } from './datagram-case.ts';
import { DecoderCase } from './decoder-case.ts';
import type { FuzzCase } from './fuzz-case.ts';
import type { FuzzReport } from './fuzz-report.ts';
import { ProxyCase } from './proxy-case.ts';
import { SessionCase } from './session-case.ts';

const CASE_INPUTS = 64;
/** So often a case goes through whole sessions of a server, and of a client; the others take the decoders alone, and a tenth of the time. */
const SESSIONS_EVERY = 16;
const CLIENTS_EVERY = 32;
/** And so often through the doors for datagrams and for connections of balancers, which take little time. */
const DATAGRAMS_EVERY = 8;
const BALANCERS_EVERY = 32;
const MAX_VIOLATIONS = 5;
const MAX_SHOWN_HEX = 20_000;
const WARM_UP_CASES = 300;
const MAX_GROWN_MIB = 32;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Tries inputs `from` … `from + count − 1`, rounded to whole cases. `until` ends it early. */
export async function fuzzFrames(
  from: number,
  count: number,
  until: AbortSignal,
  progress: (done: number) => void = () => {},
): Promise<FuzzReport> {
  const first = Math.floor((from - 1) / CASE_INPUTS) + 1;
  const cases = Math.ceil(count / CASE_INPUTS);
  const violations: string[] = [];
  let [done, accepted, connections] = [0, 0, 0];
  let heldMib = 0;
  // Every other input is an error, and half of the time would go into stack traces that nobody reads.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  for (let i = 0; i < cases && !until.aborted && violations.length < MAX_VIOLATIONS; i++) {
    const one = caseOf(first + i, new SeededRandom(first + i));
    try {
      await one.run(CASE_INPUTS);
    } catch (error) {
      violations.push(
        `inputs ${inputsOf(first + i)}: ${messageOf(error)}; the bytes of its last connection are ${one.sent.slice(0, MAX_SHOWN_HEX)}`,
      );
    }
    done += CASE_INPUTS;
    accepted += one.accepted;
    connections += one.connections;
    if (i === WARM_UP_CASES) heldMib = heapMib();
    if (i % 100 === 99) progress(Math.min(done, count));
  }
  Error.stackTraceLimit = stackTraceLimit;
  const grownMib = cases > WARM_UP_CASES ? heapMib() - heldMib : 0;
  if (grownMib > MAX_GROWN_MIB) violations.push(`${grownMib.toFixed(1)} MiB more are held than after ${WARM_UP_CASES} cases`);
  return { done: Math.min(done, count), violations, accepted, connections, grownMib };
}

/** As `--inputs` takes them. */
function inputsOf(number: number): string {
  return `${(number - 1) * CASE_INPUTS + 1}..${number * CASE_INPUTS}`;
}

function caseOf(number: number, random: SeededRandom): FuzzCase {
  if (number % SESSIONS_EVERY === 0) return new SessionCase(random);
  if (number % DATAGRAMS_EVERY === 2) return new DatagramCase(random);
  if (number % BALANCERS_EVERY === 3) return new ProxyCase(random);
  return number % CLIENTS_EVERY === 1 ? new ClientCase(random) : new DecoderCase(random);
}

/** What is held after everything else was given back, buffers included. */
function heapMib(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / (1024 * 1024);
}
