/** The rules of the protocol that the model can do without, one at a time or several, to see what breaks. */
export const RULES = {
  durableFirst: 'a frame is durable in the spool before it is sent (rule 2)',
  streamOfItsOwn: 'a client without saved state begins a new stream (rule 2)',
  streamsApart: 'the queue records each stream by itself (rule 2)',
  floor: 'stored is at least the lowest watermark of the required sinks (rule 3)',
  floorCrcWins: 'at equal seq the crc of the floor wins over the recorded one (rule 3)',
  duplicateAtDoor: 'a frame at or below stored is acknowledged and not stored again (rule 3)',
  gapAtDoor: 'a frame above stored + 1 is thrown away and REWIND asks for what is missing (rule 3)',
  staleRewind: 'a REWIND is waited for only until the client may have forgotten what it asks for (rule 3)',
  chainAtDoor: 'a frame is stored only behind the crc that it names (rule 4)',
  chainInSlice: 'a frame is applied only behind the crc that it names (rule 4)',
  chainAtClient: 'the client compares each crc it is told with its own frame (rule 4)',
  settleFirst: 'a client leaves a diverged stream only when all that is stored in it is applied (rule 4)',
  forgetAtApplied: 'a client keeps each batch until APPLIED (rule 5)',
  appliedFromSinks: 'APPLIED is said only of what a sink committed, never of what the queue recorded (rule 5)',
  appliedByAll: 'floor and APPLIED are the lowest watermark of all required sinks (rules 3, 5)',
  everythingAboveStored: 'after WELCOME the client sends everything above stored (rule 5)',
  helloAgain: 'a REWIND below what the client holds makes it say HELLO again (rule 5)',
  identity: 'a trim needs that the last element is the very one that was read (rule 6)',
  trimLease: 'a trim needs the lease (rule 6)',
  lock: 'a slice locks the watermarks before it compares them (rule 7)',
  compare: 'a slice drops what is at or below the watermark (rule 7)',
  gapInSlice: 'a slice applies only the frame at the watermark + 1 (rule 7)',
  oneCommit: 'data and watermark are in one commit (rule 7)',
  commitUnknown: 'a COMMIT of unknown outcome is settled by reading the watermark (rule 7)',
  gapsHeal: 'a trim sets streams back whose elements the slice dropped for a gap (rule 8)',
  emptyListHeals: 'a stream is set back whose elements are not in the list (rule 8)',
  waitIsHeard: 'a session that waits is heard by the node that holds the lease, also where that is another one (rule 8)',
  healLease: 'setting a stream back needs the lease (rule 8)',
  look: 'a session whose STORED exceeds what is stored sends REWIND, also when nothing arrives (rule 8)',
  healByOrdinal: 'a list of other streams heals the one that is not in it: its head was pushed later (rule 8)',
  lettersWithWatermark: 'dead letters are in the commit that moves the watermark over them (rule 10)',
  deadLetters: 'what a sink refuses for good becomes a dead letter (rule 10)',
  rejectedFirst: 'REJECTED goes before the APPLIED that covers it, also after a reconnect (rule 1)',
  watermarkFirst: 'the watermark is read before the dead letters (rule 1)',
  hole: 'news of a commit that does not join what was told makes the session look for dead letters (rule 1)',
  regressed: 'what a sink lacks below oldest is an incident, and never asked for or passed over (rule 11)',
  takeover: 'a connection takes its stream over from the one before it (rule 12)',
} as const;

export type RuleName = keyof typeof RULES;
export type Rules = Readonly<Record<RuleName, boolean>>;

export function rulesWithout(out: readonly RuleName[]): Rules {
  const rules = {} as Record<RuleName, boolean>;
  for (const name of Object.keys(RULES) as RuleName[]) rules[name] = !out.includes(name);
  return rules;
}
