/** Where the leases come from, which are told with `Scheduler.gained` and `Scheduler.lost`. */
export interface LeaseSource {
  /** Whether other nodes may hold, and apply, what this one does not. */
  readonly shared: boolean;
  /** Begins to keep leases. */
  start(): void;
  /** The queue is there, for the first time or again; resolves when it is known which leases are held. */
  connected(): Promise<void>;
  /** Finds out which leases are still held. @throws {SyncError} */
  renew(): Promise<void>;
  /** Gives everything back and asks for nothing until {@link resume}. */
  suspend(): Promise<void>;
  /** May be asked again, with {@link connected}. */
  resume(): void;
  /** Asks for nothing more. */
  stop(): void;
  /** Gives everything back. */
  close(): Promise<void>;
}
