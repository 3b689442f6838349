import type { Step } from './client/sim-client.ts';
import { ALONE, type Installation } from './installation.ts';
import { type History, simulate, type Shape, type Simulation } from './simulation.ts';
import { type FaultKind, interference, kindsOf, ScriptFlags } from './small-world-faults.ts';
import type { Sending } from './world/network.ts';
import { Together } from './world/wire.ts';

/**
 * What the client of a small world writes: a batch that is applied, and while that is under way one with a change that
 * must become a dead letter, because the first has its key, beside one that is applied.
 */
const SCRIPT: readonly Step[] = [
  {
    afterMs: 0,
    write: ({ event, item }) => Promise.all([event.insert({ id: 1, note: 'once' }), item.upsert({ id: 1, n: 1, note: 'first' })]),
  },
  { afterMs: 25, write: ({ event, item }) => Promise.all([event.insert({ id: 1, note: 'twice' }), item.update({ id: 1, n: 2 })]) },
];
const SHAPE: Shape = {
  partitions: 1,
  threads: 1,
  hotShare: 0,
  clients: [{ doors: ['node'], keyCount: 1, pauseMs: 1, poisonShare: 0, script: SCRIPT }],
};
/** What a small history runs on. */
export type Cast = 'one node' | 'a pair';
const INSTALLATIONS: Readonly<Record<Cast, Installation>> = {
  'one node': ALONE,
  'a pair': { mode: 'standby', nodes: ['node', 'node-2'], entrance: 'balancer' },
};
/** Long enough for whatever stands still for a while to go on by itself. */
const ACTIVE_MS = 6_000;

/** Somewhere in a history where something can go wrong: a message is sent, or the client's disk is written. */
export interface Moment {
  /** From 1, over the whole history. */
  readonly at: number;
  readonly what: string;
  /** What can go wrong here. */
  readonly kinds: readonly FaultKind[];
}

/** A fault at the `at`-th moment of a history. */
export interface PlannedFault {
  readonly at: number;
  readonly kind: FaultKind;
}

/** A small history and its moments. */
export interface SmallWorld {
  readonly history: History;
  readonly moments: readonly Moment[];
}

/** The small history with these faults in it. */
export async function withFaults(
  faults: readonly PlannedFault[],
  trace?: (line: string) => void,
  cast: Cast = 'one node',
): Promise<SmallWorld> {
  const moments: Moment[] = [];
  const scripts = new ScriptFlags();
  const pass = (what: string, kinds: readonly FaultKind[]) => {
    const at = moments.length + 1;
    moments.push({ at, what, kinds });
    const fault = faults.find((planned) => planned.at === at);
    if (fault !== undefined) trace?.(`fault: ${fault.kind} at ${at}: ${what}`);
    return fault?.kind;
  };
  const prepare = (simulation: Simulation) => {
    for (const { disk } of simulation.clients)
      disk.interfere = () => (pass('the spool is written', ['the disk is full']) === undefined ? undefined : 'fails');
    simulation.network.interfere = (sending) => {
      const kind = pass(describe(sending), kindsOf(sending, scripts));
      return kind && interference(simulation, sending, kind);
    };
  };
  const history = await runSmallWorld(prepare, trace, INSTALLATIONS[cast]);
  return { history, moments };
}

/** Every fault that the small history has room for. */
export async function singleFaults(cast?: Cast): Promise<PlannedFault[]> {
  const { moments } = await withFaults([], undefined, cast);
  return moments.flatMap(({ at, kinds }) => kinds.map((kind) => ({ at, kind })));
}

/** A fault, or several, as people read it. */
export function textOf(faults: readonly PlannedFault[]): string {
  return faults.map(({ at, kind }) => `${kind} at ${at}`).join(', ');
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
export function withCut(direction: Direction, bytes: number, trace?: (line: string) => void): Promise<History> {
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
  }, trace);
}

function runSmallWorld(
  prepare: (simulation: Simulation) => void,
  trace?: (line: string) => void,
  installation: Installation = ALONE,
): Promise<History> {
  const options = { seed: 1, shape: SHAPE, installation, activeMs: ACTIVE_MS, faults: [], rest: 'left out', prepare } as const;
  return simulate({ ...options, ...(trace && { trace }) });
}

function bytesOf({ from, to, message }: Sending, direction: Direction): number {
  const isIt = direction === 'to the node' ? to === 'node' && from.startsWith('client') : from === 'node' && to.startsWith('client');
  return isIt && message instanceof Uint8Array ? message.length : 0;
}

/** Frames by the type in their header, commands and statements by how they begin. */
function describe({ from, to, message }: Sending): string {
  const path = `${from} → ${to}`;
  if (message instanceof Uint8Array) return `${path}: a frame of type ${message[4]}`;
  if (message instanceof Together) return `${path}: ${message.messages.map(partOf).join(', ')}`;
  const { kind, sql } = (message ?? {}) as { kind?: string; sql?: string };
  return kind === undefined ? path : `${path}: ${sql === undefined ? kind : sql.slice(0, 60).replaceAll('\n', ' ')}`;
}

/** A command, or the answer to one. */
function partOf(message: unknown): string {
  return Array.isArray(message) ? message.slice(0, 4).map(String).join(' ').slice(0, 60) : 'an answer';
}

export type { FaultKind };
