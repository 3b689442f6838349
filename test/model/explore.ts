import { applierSteps } from './actors/applier.ts';
import { clientSteps } from './actors/client.ts';
import { sessionSteps } from './actors/session.ts';
import { faultSteps } from './faults.ts';
import { IntegerList } from './integer-list.ts';
import { isGood, stateViolation } from './properties.ts';
import { StateTable } from './state-table.ts';
import { type Step, Steps, type Violation } from './step.ts';
import { type Model, startOf, type World } from './world.ts';

export interface Exploration {
  readonly states: number;
  readonly steps: number;
  /** Of the state that is farthest from the beginning. */
  readonly depth: number;
  /** The first that was met, and so one with the fewest steps; undefined when none of all states has any. */
  readonly found: { readonly violation: Violation; readonly trace: readonly string[] } | undefined;
  /** All states were seen; false when `limit` was reached. */
  readonly isComplete: boolean;
}

/**
 * Goes through every state that can be reached, breadth first, and stops at the first that breaks a promise. When none does,
 * looks for states that nothing but another fault can lead out of: from the good ends backwards over the steps that are no
 * faults, whatever was not met is a wedge.
 */
export function explore(model: Model, limit = Infinity): Exploration {
  const table = new StateTable(model);
  const parents = new IntegerList();
  const depths = new IntegerList();
  // The steps that are no faults, as pairs of from and to.
  const froms = new IntegerList();
  const tos = new IntegerList();
  const good = new IntegerList();
  let steps = 0;
  table.add(startOf(model));
  parents.push(-1);
  depths.push(0);

  const result = (found: Exploration['found'], isComplete: boolean): Exploration => ({
    states: table.size,
    steps,
    depth: depths.at(depths.length - 1),
    found,
    isComplete,
  });
  for (let from = 0; from < table.size; from++) {
    if (table.size > limit) return result(undefined, false);
    const world = table.at(from);
    if (isGood(model, world)) good.push(from);
    for (const step of stepsFrom(model, world)) {
      steps++;
      if (step.violation !== undefined)
        return result({ violation: step.violation, trace: [...traceTo(model, table, parents, from), step.label] }, true);
      const before = table.size;
      const to = table.add(step.world);
      if (to === before) {
        parents.push(from);
        depths.push(depths.at(from) + 1);
        const violation = stateViolation(model, step.world);
        if (violation !== undefined) return result({ violation, trace: traceTo(model, table, parents, to) }, true);
      }
      if (!step.isFault) {
        froms.push(from);
        tos.push(to);
      }
    }
  }
  const wedge = firstWedge(table.size, froms, tos, good);
  if (wedge === undefined) return result(undefined, true);
  return result({ violation: 'wedge', trace: traceTo(model, table, parents, wedge) }, true);
}

export function stepsFrom(model: Model, world: World): readonly Step[] {
  const steps = new Steps();
  for (let client = 0; client < model.clients; client++) {
    clientSteps(model, world, client, steps);
    sessionSteps(model, world, client, steps);
  }
  for (let node = 0; node < model.nodes; node++)
    for (let sink = 0; sink < model.sinks; sink++) applierSteps(model, world, node, sink, steps);
  faultSteps(model, world, steps);
  return steps.all;
}

/** The first state from which no good end can be reached without a fault. */
function firstWedge(size: number, froms: IntegerList, tos: IntegerList, good: IntegerList): number | undefined {
  // The predecessors of a state lie together: from `starts[state]` to `starts[state + 1]`.
  const starts = new Int32Array(size + 1);
  for (let i = 0; i < tos.length; i++) starts[tos.at(i) + 1]!++;
  for (let state = 0; state < size; state++) starts[state + 1]! += starts[state]!;
  const next = starts.slice();
  const predecessors = new Int32Array(tos.length);
  for (let i = 0; i < tos.length; i++) predecessors[next[tos.at(i)]!++] = froms.at(i);

  const reaches = new Uint8Array(size);
  const open: number[] = [];
  for (let i = 0; i < good.length; i++) {
    reaches[good.at(i)] = 1;
    open.push(good.at(i));
  }
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    for (let i = starts[state]!; i < starts[state + 1]!; i++) {
      const before = predecessors[i]!;
      if (reaches[before] === 1) continue;
      reaches[before] = 1;
      open.push(before);
    }
  }
  const wedge = reaches.indexOf(0);
  return wedge === -1 ? undefined : wedge;
}

function traceTo(model: Model, table: StateTable, parents: IntegerList, to: number): string[] {
  const trace: string[] = [];
  for (let state = to; parents.at(state) !== -1; state = parents.at(state)) {
    const step = stepsFrom(model, table.at(parents.at(state))).find(({ world }) => table.add(world) === state);
    trace.unshift(step?.label ?? 'something');
  }
  return trace;
}
