/** Lets so much through in a second, and a second's worth at once after a silence. */
export class TokenBucket {
  #perSecond: number;
  #left: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
    this.#atMs = nowMs;
  }

  set perSecond(perSecond: number) {
    this.#perSecond = perSecond;
    this.#left = Math.min(this.#left, perSecond);
  }

  /** Takes `count` if they are there. */
  take(count: number, nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#left < count) return false;
    this.#left -= count;
    return true;
  }

  /** Takes `count`, also on credit: what has happened already. */
  spend(count: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#left -= count;
  }

  /** How long it takes until nothing is owed; 0 when nothing is. */
  owedMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#left >= 0 ? 0 : (-this.#left / this.#perSecond) * 1000;
  }

  #fill(nowMs: number): void {
    this.#left = Math.min(this.#perSecond, this.#left + ((nowMs - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = nowMs;
  }
}
