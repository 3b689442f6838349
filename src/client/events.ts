/** Typed events without inheritance. Listeners run in the order in which they were added. */
export class Events<Named extends object> {
  readonly #listeners = new Map<keyof Named, ((event: never) => void)[]>();

  /** Calls `listener` on every event called `name`, until the returned function is called. */
  on<Name extends keyof Named>(name: Name, listener: (event: Named[Name]) => void): () => void {
    const listeners = this.#listeners.get(name);
    if (listeners === undefined) this.#listeners.set(name, [listener]);
    else listeners.push(listener);
    return () => this.off(name, listener);
  }

  off<Name extends keyof Named>(name: Name, listener: (event: Named[Name]) => void): void {
    const left = (this.#listeners.get(name) ?? []).filter((one) => one !== listener);
    this.#listeners.set(name, left);
  }

  emit<Name extends keyof Named>(name: Name, event: Named[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        (listener as (event: Named[Name]) => void)(event);
      } catch (error) {
        // A bug in a listener must be seen, but not in the middle of handling a frame.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  listenerCount(name: keyof Named): number {
    return this.#listeners.get(name)?.length ?? 0;
  }
}
