import type { Clock, Timer } from '../core/clock.ts';
import type { AuditFields } from './chain.ts';

/** What is the same within this time stands in one line. */
const GATHER_MS = 1_000;
/** How many different events are told apart within that time; the rest share a line for each code. */
const MAX_KINDS = 64;

interface Kind {
  readonly event: string;
  readonly fields: AuditFields;
  /** Since its last line. */
  count: number;
}

/**
 * Keeps floods out of the audit log: of events that are the same the first is passed on at once, and those of the second
 * after it together, with how many they were. However many addresses take part, there is a bound on the lines per second.
 */
export class Gathering {
  readonly #clock: Clock;
  readonly #write: (event: string, fields: AuditFields) => void;
  readonly #kinds = new Map<string, Kind>();
  #timer: Timer | undefined;

  constructor(clock: Clock, write: (event: string, fields: AuditFields) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  add(event: string, fields: AuditFields, count: number): void {
    const key = JSON.stringify([event, fields]);
    const known = this.#kinds.get(key);
    if (known !== undefined) known.count += count;
    else if (this.#kinds.size < MAX_KINDS) this.#first(key, { event, fields, count: 0 }, count);
    else this.#addToOthers(event, fields, count);
  }

  /** Writes what has been gathered. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#tell();
    this.#kinds.clear();
  }

  #first(key: string, kind: Kind, count: number): void {
    this.#kinds.set(key, kind);
    this.#write(kind.event, { ...kind.fields, ...(count === 1 ? {} : { count }) });
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.#turn());
  }

  #addToOthers(event: string, { code }: AuditFields, count: number): void {
    const fields = { address: 'others', ...(code === undefined ? {} : { code }) };
    const key = JSON.stringify([event, fields]);
    const others = this.#kinds.get(key);
    if (others !== undefined) others.count += count;
    else this.#kinds.set(key, { event, fields, count });
  }

  #turn(): void {
    this.#timer = undefined;
    this.#tell();
    if (this.#kinds.size > 0) this.#timer = this.#clock.setTimer(GATHER_MS, () => this.#turn());
  }

  /** Writes what came again; what did not is forgotten, so that its next time is a first one. */
  #tell(): void {
    for (const [key, kind] of this.#kinds) {
      if (kind.count === 0) this.#kinds.delete(key);
      else this.#write(kind.event, { ...kind.fields, count: kind.count });
      kind.count = 0;
    }
  }
}
