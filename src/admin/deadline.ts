/** How long an answer waits for what a database is asked; what is late is left out. */
const DEADLINE_MS = 2_000;

/** `promise`, or a rejection when it takes longer than whoever scrapes or looks should wait. */
export async function withDeadline<T>(promise: Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  return Promise.race([
    promise,
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error(`no answer within ${DEADLINE_MS / 1000} s`)));
    }),
  ]);
}
