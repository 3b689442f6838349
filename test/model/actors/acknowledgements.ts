import { type Place, seqOf, START } from '../place.ts';
import { type Connection, type Message, type Model, BLANK_SESSION } from '../world.ts';

/**
 * What a session tells its client. All of it is cumulative, so it is enough to model that what is due goes out when the
 * client has read what went before: an older STORED or APPLIED on the way would say nothing that the newer does not.
 */
export function flushed(connection: Connection): Connection {
  if (connection.phase !== 'open' || connection.down.length > 0) return connection;
  const { rewindDue, storedDue, stored, rejectedDue, appliedDue, applied } = connection;
  const down: Message[] = [];
  if (rewindDue > 0) down.push(['REWIND', rewindDue]);
  if (storedDue) down.push(['STORED', stored]);
  for (const frame of rejectedDue) down.push(['REJECTED', frame]);
  if (appliedDue) down.push(['APPLIED', applied]);
  return down.length === 0 ? connection : { ...connection, down, rewindDue: 0, storedDue: false, rejectedDue: [], appliedDue: false };
}

/** `place` is stored; repeated to the client even where it was told before. */
export function toldStored(connection: Connection, place: Place): Connection {
  const seq = seqOf(place);
  let { awaited, thrownAway } = connection;
  if (awaited !== 0 && seq >= awaited) awaited = thrownAway = 0;
  if (seq >= thrownAway) thrownAway = 0;
  return { ...connection, stored: place, awaited, thrownAway, storedDue: connection.storedDue || seq > 0 };
}

/** `place` is applied, with these dead letters up to it. */
export function toldApplied({ rules }: Model, connection: Connection, place: Place, rejected: readonly Place[]): Connection {
  const seq = seqOf(place);
  if (seq <= seqOf(connection.applied)) return connection;
  const settled = settledSeq(connection);
  const news = rejected.filter((frame) => seqOf(frame) > settled);
  let { awaited, thrownAway, stored } = connection;
  // The client may forget what it was asked for: waiting for that would wedge the stream.
  if (rules.staleRewind && awaited !== 0 && seq >= awaited) awaited = thrownAway = 0;
  if (seq > seqOf(stored)) stored = place;
  return {
    ...connection,
    applied: place,
    stored,
    awaited,
    thrownAway,
    appliedDue: true,
    rejectedDue: [...connection.rejectedDue, ...news],
  };
}

/** Asks for everything above `place`. */
export function rewound(connection: Connection, place: Place): Connection {
  const seq = seqOf(place) + 1;
  return { ...connection, stored: place, storedDue: false, awaited: seq, rewindDue: seq, thrownAway: 0 };
}

/** ERROR: what is due goes before it, and nothing more is read or said. */
export function refused(connection: Connection, code: 'mismatch' | 'regressed' | 'taken over'): Connection {
  const { down } = flushed({ ...connection, down: [] });
  const told = connection.phase === 'open' ? [...connection.down, ...down] : connection.down;
  return {
    ...connection,
    ...BLANK_SESSION,
    phase: 'closed',
    down: [...told, [code, START]],
  };
}

/** What the client may have forgotten by now. */
export function settledSeq({ forgotten, applied }: Connection): number {
  return Math.max(forgotten, seqOf(applied));
}

/** The client waits for an APPLIED. */
export function isWaiting({ stored, applied }: Connection): boolean {
  return seqOf(stored) > seqOf(applied);
}

/** Frames were thrown away that nobody asked for again yet. */
export function owesRewind({ thrownAway, awaited }: Connection): boolean {
  return thrownAway > 0 && awaited === 0;
}
