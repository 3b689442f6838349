/** What the list of a key holds; takes from its head without moving the rest. */
export class ListValue {
  #items: string[] = [];
  /** Items before this one are gone. */
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  at(index: number): string | undefined {
    return index < 0 ? undefined : this.#items[this.#head + index];
  }

  range(from: number, to: number): string[] {
    return this.#items.slice(this.#head + from, this.#head + to);
  }

  push(items: readonly string[]): void {
    for (const item of items) this.#items.push(item);
  }

  unshift(items: readonly string[]): void {
    this.#items = [...items, ...this.range(0, this.length)];
    this.#head = 0;
  }

  /** Removes the first `count` items, and gives them. */
  takeFirst(count: number): string[] {
    const taken = this.range(0, count);
    this.#head += taken.length;
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return taken;
  }

  /** Removes the last `count` items, and gives them. */
  takeLast(count: number): string[] {
    return this.#items.splice(this.#items.length - Math.min(count, this.length));
  }
}
