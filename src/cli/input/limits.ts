/** The longest record that is kept in memory; far above what a frame can carry. */
export const MAX_RECORD_CHARS = 64 * 1024 * 1024;

/** What is wrong with the input is such that nothing after it can be read either. */
export class UnreadableInputError extends Error {
  override readonly name = 'UnreadableInputError';
  readonly line: number;

  constructor(line: number, reason: string) {
    super(`line ${line}: ${reason}`);
    this.line = line;
  }
}
