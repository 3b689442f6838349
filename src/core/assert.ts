/** What must hold whatever the world does: where it does not, there is a bug, and the program or the thread ends. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

class AssertionError extends Error {
  override readonly name = 'AssertionError';
}
