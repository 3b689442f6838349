/** Why a run cannot begin or go on, in words for whoever started it: what, where, what to do. */
export class ChaosError extends Error {
  override readonly name = 'ChaosError';
  readonly reason: 'unreachable' | 'refused';

  constructor(reason: ChaosError['reason'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}
