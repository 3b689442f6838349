import { type History, simulate, type Shape, type Simulation } from './simulation.ts';
import type { Interference, Sending } from './world/network.ts';

/** One client that writes a little to two partitions, some of it poison. */
const SHAPE: Shape = { partitions: 2, hotShare: 0, clients: [{ doors: ['node'], keyCount: 2, pauseMs: 40, poisonShare: 0.2 }] };
const ACTIVE_MS = 300;
/** How long a process that dies here is away. */
const AWAY_MS = 20;

/** What can happen to a message, and to those that it passes between. */
export type FaultKind = 'lost' | 'last' | 'sender dies' | 'receiver dies' | 'Redis is wiped' | 'database dies';

export const FAULT_KINDS: readonly FaultKind[] = ['lost', 'last', 'sender dies', 'receiver dies', 'Redis is wiped', 'database dies'];

/** The `at`-th message of the whole history, from 1. */
export interface PlannedFault {
  readonly at: number;
  readonly kind: FaultKind;
}

/** How many messages the history has in which nothing goes wrong. */
export async function countMessages(): Promise<number> {
  let count = 0;
  await runSmallWorld((simulation) => {
    simulation.network.interfere = () => {
      count++;
      return undefined;
    };
  });
  return count;
}

/** The small history with these faults in it. */
export function withFaults(faults: readonly PlannedFault[]): Promise<History> {
  return runSmallWorld((simulation) => {
    let count = 0;
    simulation.network.interfere = (sending) => {
      count++;
      const fault = faults.find(({ at }) => at === count);
      return fault && interference(simulation, sending, fault.kind);
    };
  });
}

/** The two directions of the client's connection. */
export type Direction = 'to the node' | 'to the client';

/** How many bytes travel in a direction when nothing goes wrong. */
export async function countBytes(direction: Direction): Promise<number> {
  let count = 0;
  await runSmallWorld((simulation) => {
    simulation.network.interfere = (sending) => {
      count += bytesOf(sending, direction);
      return undefined;
    };
  });
  return count;
}

/** The small history, with the client's connection cut after `bytes` bytes in one direction. */
export function withCut(direction: Direction, bytes: number): Promise<History> {
  return runSmallWorld((simulation) => {
    let before = 0;
    simulation.network.interfere = (sending) => {
      const length = bytesOf(sending, direction);
      const left = bytes - before;
      before += length;
      if (length === 0 || left < 0 || left >= length) return undefined;
      const part = (sending.message as Uint8Array).subarray(0, left);
      return { arrives: left === 0 ? undefined : part, afterwards: (breakConnection) => breakConnection() };
    };
  });
}

function runSmallWorld(prepare: (simulation: Simulation) => void): Promise<History> {
  return simulate({ seed: 1, shape: SHAPE, activeMs: ACTIVE_MS, faults: [], prepare });
}

function bytesOf({ from, to, message }: Sending, direction: Direction): number {
  const isIt = direction === 'to the node' ? to === 'node' && from.startsWith('client') : from === 'node' && to.startsWith('client');
  return isIt && message instanceof Uint8Array ? message.length : 0;
}

function interference(simulation: Simulation, { from, to, message }: Sending, kind: FaultKind): Interference {
  switch (kind) {
    case 'lost':
      return { arrives: undefined, afterwards: (breakConnection) => breakConnection() };
    case 'last':
      return { arrives: message, afterwards: (breakConnection) => breakConnection() };
    case 'sender dies':
      return { arrives: undefined, afterwards: () => die(simulation, from) };
    case 'receiver dies':
      return { arrives: message, afterwards: () => die(simulation, to) };
    case 'Redis is wiped':
      return { arrives: message, afterwards: () => simulation.servers.redis.host.isUp && simulation.servers.redis.flushAll() };
    case 'database dies':
      return { arrives: message, afterwards: () => die(simulation, 'mariadb') };
  }
}

/** Kills the process on a host and starts it again a little later. */
function die(simulation: Simulation, name: string): void {
  const { servers, node, clients } = simulation;
  const parts = [servers.redis, servers.mariadb, node, ...clients];
  const part = parts.find(({ host }) => host.name === name);
  if (part === undefined || !part.host.isUp) return;
  part.host.crash();
  simulation.at(AWAY_MS, () => {
    if (!part.host.isUp) part.boot();
  });
}
