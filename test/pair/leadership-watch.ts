import { setTimeout as delay } from 'node:timers/promises';
import { statesOf } from './balancer.ts';
import { nameOf } from './pair-parts.ts';
import type { PairWorld } from './pair-world.ts';

/** What was seen of who leads. */
export interface Leadership {
  /** The longest time in which no node said that it leads. */
  readonly longestNobodyMs: number;
  /** The longest time in which two did. */
  readonly longestTwoMs: number;
  /** How often another node led than before, and how often the balancer's statistics showed another. */
  readonly switches: number;
  readonly shownSwitches: number;
  readonly samples: number;
  /** Every change, for whoever wants to look: who said that it leads, and who was UP. */
  readonly timeline: readonly LeadershipChange[];
}

export interface LeadershipChange {
  readonly atMs: number;
  readonly leading: readonly string[];
  readonly up: readonly string[];
}

const SAMPLE_MS = 50;

/** Asks every node and the balancer every 50 ms who leads. */
export class LeadershipWatch {
  readonly #startedMs = performance.now();
  readonly #leading = new Set<string>();
  #up: readonly string[] = [];
  readonly #timeline: LeadershipChange[] = [];
  readonly #loops: readonly Promise<void>[];
  #samples = 0;
  #stopping = false;

  constructor(world: PairWorld) {
    this.#loops = [
      ...world.nodes.map((node, i) => this.#loop(async () => this.#said(nameOf(i), node.running && (await node.primary())))),
      this.#loop(async () => this.#shown(await statesOf(world.balancer))),
    ];
  }

  async stop(): Promise<Leadership> {
    this.#stopping = true;
    await Promise.all(this.#loops);
    const timeline = this.#timeline;
    return { ...summaryOf(timeline, performance.now() - this.#startedMs), samples: this.#samples, timeline };
  }

  async #loop(sample: () => Promise<void>): Promise<void> {
    while (!this.#stopping) {
      const nextMs = performance.now() + SAMPLE_MS;
      // Whoever is killed does not answer.
      await sample().catch(() => {});
      this.#samples++;
      await delay(Math.max(1, nextMs - performance.now()));
    }
  }

  #said(name: string, leads: boolean): void {
    if (this.#leading.has(name) === leads) return;
    if (leads) this.#leading.add(name);
    else this.#leading.delete(name);
    this.#note();
  }

  #shown(states: readonly string[]): void {
    const up = states.flatMap((state, i) => (state.startsWith('UP') ? [nameOf(i)] : []));
    if (up.join() === this.#up.join()) return;
    this.#up = up;
    this.#note();
  }

  #note(): void {
    this.#timeline.push({ atMs: performance.now() - this.#startedMs, leading: [...this.#leading].sort(), up: this.#up });
  }
}

/** What a timeline that ends at `endMs` comes to. */
export function summaryOf(timeline: readonly LeadershipChange[], endMs: number): Omit<Leadership, 'samples' | 'timeline'> {
  return {
    longestNobodyMs: longest(timeline, endMs, ({ leading }) => leading.length === 0),
    longestTwoMs: longest(timeline, endMs, ({ leading }) => leading.length > 1),
    switches: switchesOf(timeline.map(({ leading }) => leading)),
    shownSwitches: switchesOf(timeline.map(({ up }) => up)),
  };
}

function longest(timeline: readonly LeadershipChange[], endMs: number, is: (change: LeadershipChange) => boolean): number {
  // Before the first answer that somebody leads, nothing is known.
  const known = timeline.slice(
    Math.max(
      0,
      timeline.findIndex(({ leading }) => leading.length > 0),
    ),
  );
  let [longestMs, sinceMs] = [0, undefined as number | undefined];
  for (const change of known) {
    if (is(change)) sinceMs ??= change.atMs;
    else if (sinceMs !== undefined) [longestMs, sinceMs] = [Math.max(longestMs, change.atMs - sinceMs), undefined];
  }
  return sinceMs === undefined ? longestMs : Math.max(longestMs, endMs - sinceMs);
}

/** How often another one was alone. */
function switchesOf(sets: readonly (readonly string[])[]): number {
  const alone = sets.filter(({ length }) => length === 1).map(([name]) => name);
  return alone.filter((name, i) => i > 0 && name !== alone[i - 1]).length;
}
