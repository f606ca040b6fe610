import type { MeshResult } from "@sluice/lab";
import type { Clock } from "@sluice/runtime";
import type { ControllerState, SwitchIdl } from "./configure.js";

/** Waits until `condition` holds for the replica, at most `limitMs` (0: for ever). Whether it came to hold. */
export function until(
  idl: SwitchIdl,
  condition: () => boolean,
  clock: Clock,
  limitMs: number,
): Promise<boolean> {
  if (condition()) return Promise.resolve(true);
  return new Promise((resolve) => {
    const finish = (held: boolean): void => {
      idl.events.off("change", look);
      timer?.cancel();
      resolve(held);
    };
    const look = (): void => {
      if (condition()) finish(true);
    };
    const timer = limitMs > 0 ? clock.setTimeout(() => finish(false), limitMs) : undefined;
    idl.events.on("change", look);
  });
}

/** Lines about controllers whose connection came or went, or that were taken away, between two looks. */
export function controllerChanges(
  before: readonly ControllerState[],
  now: readonly ControllerState[],
): string[] {
  const was = new Map(before.map((state) => [state.target, state.isConnected]));
  const gone = before.filter((state) => !now.some(({ target }) => target === state.target));
  const removed = gone.map(({ target }) => `controller ${target}: removed`);
  const changed = now.flatMap(({ target, isConnected, lastError }) => {
    if ((was.get(target) ?? false) === isConnected) return [];
    const why = lastError === undefined ? "" : ` (${lastError})`;
    return [isConnected ? `controller ${target}: connected` : `controller ${target}: lost${why}`];
  });
  return [...removed, ...changed];
}

/** One line about a round of pings when it went otherwise than the last. */
export function pingChange(before: readonly MeshResult[], now: readonly MeshResult[]): string | undefined {
  const answered = (round: readonly MeshResult[]) => round.filter(({ result }) => result.received > 0);
  const [was, is] = [answered(before).length, answered(now).length];
  if (was === is) return undefined;
  const silent = now.find(({ result }) => result.received === 0);
  const example = silent ? `, none from ${silent.to.name} to ${silent.from.name}` : "";
  return `pings: ${is} of ${now.length} answered${example}`;
}
