const INTERVAL_MS = 1_000;

/** One line at the end of the output that is written over again and again on a terminal, and not shown elsewhere. */
export class LiveLine {
  readonly #terminal: NodeJS.WriteStream;
  #shownMs = -INTERVAL_MS;

  constructor(terminal: NodeJS.WriteStream = process.stderr) {
    this.#terminal = terminal;
  }

  /** Shows the text, at most once a second. */
  show(text: string): void {
    if (!this.#terminal.isTTY || performance.now() - this.#shownMs < INTERVAL_MS) return;
    this.#shownMs = performance.now();
    this.#terminal.write(`\r${text.slice(0, this.#terminal.columns - 1)}\u001b[K`);
  }

  clear(): void {
    if (this.#terminal.isTTY) this.#terminal.write('\r\u001b[K');
    this.#shownMs = -INTERVAL_MS;
  }
}
