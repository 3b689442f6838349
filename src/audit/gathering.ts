import type { Clock, Timer } from '../core/clock.ts';
import type { AuditFields } from './chain.ts';

/** What is the same within this time stands in one line. */
const GATHER_MS = 1_000;
/** How many of one event are told apart within that time; the rest share a line for each code and producer. */
const MAX_KINDS = 64;

interface Kind {
  readonly fields: AuditFields;
  /** Since its last line. */
  count: number;
}

/**
 * Keeps floods out of the audit log: of events that are the same the first is passed on at once, and those of the second
 * after it together, with how many they were. However many addresses take part, there is a bound on the lines per second:
 * for each event one of its own, so that strangers who are refused do not take the room of those who are let in.
 */
export class Gathering {
  readonly #clock: Clock;
  readonly #write: (event: string, fields: AuditFields) => void;
  /** By event. */
  readonly #kinds = new Map<string, Map<string, Kind>>();
  #timer: Timer | undefined;

  constructor(clock: Clock, write: (event: string, fields: AuditFields) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  add(event: string, fields: AuditFields, count: number): void {
    const kinds = this.#kindsOf(event);
    const key = JSON.stringify(fields);
    const known = kinds.get(key);
    if (known !== undefined) known.count += count;
    else if (kinds.size >= MAX_KINDS) addToOthers(kinds, fields, count);
    else {
      kinds.set(key, { fields, count: 0 });
      this.#write(event, { ...fields, ...(count === 1 ? {} : { count }) });
      this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.#turn());
    }
  }

  /** Writes what has been gathered. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#tell();
    this.#kinds.clear();
  }

  #kindsOf(event: string): Map<string, Kind> {
    let kinds = this.#kinds.get(event);
    if (kinds === undefined) this.#kinds.set(event, (kinds = new Map<string, Kind>()));
    return kinds;
  }

  #turn(): void {
    this.#timer = undefined;
    this.#tell();
    if (this.#kinds.size > 0) this.#timer = this.#clock.setTimer(GATHER_MS, () => this.#turn());
  }

  /** Writes what came again; what did not is forgotten, so that its next time is a first one. */
  #tell(): void {
    for (const [event, kinds] of this.#kinds) {
      for (const [key, kind] of kinds) {
        if (kind.count === 0) kinds.delete(key);
        else this.#write(event, { ...kind.fields, count: kind.count });
        kind.count = 0;
      }
      if (kinds.size === 0) this.#kinds.delete(event);
    }
  }
}

function addToOthers(kinds: Map<string, Kind>, { code, producer }: AuditFields, count: number): void {
  const fields = { address: 'others', ...(code === undefined ? {} : { code }), ...(producer === undefined ? {} : { producer }) };
  const key = JSON.stringify(fields);
  const others = kinds.get(key);
  if (others !== undefined) others.count += count;
  else kinds.set(key, { fields, count });
}
