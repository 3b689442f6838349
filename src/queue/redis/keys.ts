/**
 * Names of the keys in Redis. All keys of a partition share the hash tag `{p}`, so that they lie on one node of a cluster.
 * `docs/queue.md` describes what each holds.
 */
export class QueueKeys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Settings of the installation. */
  get installation(): string {
    return `${this.#prefix}meta`;
  }

  /** Hash: name of a node → `incarnation joined expires ttl about`. */
  get members(): string {
    return `${this.#prefix}members`;
  }

  /** No key: the channel over which nodes tell each other what they need not wait for. */
  get announcements(): string {
    return `${this.#prefix}announcements`;
  }

  /** Elements of (sink, partition), oldest first. */
  list(sink: string, partition: number): string {
    return `${this.#prefix}{${partition}}:list:${sink}`;
  }

  /** Large frames of one append to a list, one after the other; `append` are its 8 random bytes in hex. */
  frames(sink: string, partition: number, append: string): string {
    return `${this.#prefix}{${partition}}:frames:${sink}:${append}`;
  }

  /** Hash: stream → `seq crc ordinal producer`. */
  streams(partition: number): string {
    return `${this.#prefix}{${partition}}:streams`;
  }

  /** Hash: settings, ordinal and time of the last push, bytes of each list, and who took each lease and did not give it back. */
  meta(partition: number): string {
    return `${this.#prefix}{${partition}}:meta`;
  }

  /** `token holder`, with a time to live. */
  lease(sink: string, partition: number): string {
    return `${this.#prefix}{${partition}}:lease:${sink}`;
  }
}
