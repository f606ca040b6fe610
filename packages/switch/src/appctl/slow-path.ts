import type { Bridges } from "../bridge/reconfigure.js";
import { datapathsNamed, nameOf } from "./datapaths.js";

/** What is asked of the slow path: its megaflows, how many there may be, and whether they are true by now. */

/** upcall/show: the megaflows of each datapath, and how a round over them goes. The main thread is the one that has
 *  rounds. */
export function upcallShow(bridges: Bridges): string {
  return [...bridges.backers()]
    .map((backer) => {
      const { size, limit } = backer.megaflows;
      const { average, most, durationMs } = backer.rounds;
      const flows = `(current ${size}) (avg ${Math.round(average)}) (max ${most}) (limit ${limit})`;
      return (
        `${nameOf(backer)}:\n  flows         : ${flows}\n` +
        `  dump duration : ${Math.round(durationMs)}ms\n  ufid enabled : true\n\n  0: (keys ${size})\n`
      );
    })
    .join("\n");
}

/** upcall/disable-megaflows and enable-megaflows: whether a megaflow is of all packets that the same becomes of, or of
 *  those alone that are like the one it was made for in every field. Those that there are go. */
export function setMegaflows(bridges: Bridges, areWide: boolean): string {
  for (const { megaflows } of bridges.backers()) {
    megaflows.areWide = areWide;
    megaflows.flush();
  }
  return `megaflows ${areWide ? "enabled" : "disabled"}\n`;
}

/** revalidator/pause and resume. */
export function pauseRevalidation(bridges: Bridges, isPaused: boolean): undefined {
  for (const backer of bridges.backers()) backer.isPaused = isPaused;
  return undefined;
}

/** upcall/set-flow-limit: until flow-limit is configured anew. */
export function setFlowLimit(bridges: Bridges, text: string): string {
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit > MAX_LIMIT) throw new Error(`${text}: a flow limit is 0 to ${MAX_LIMIT}`);
  for (const { megaflows } of bridges.backers()) megaflows.limit = limit;
  return `set flow_limit to ${limit}\n`;
}

const MAX_LIMIT = 2_000_000;

/** revalidator/wait: until every change so far is in force, and every count is here. */
export async function waitForRevalidation(bridges: Bridges): Promise<undefined> {
  for (const backer of bridges.backers()) {
    await backer.barrier();
    await backer.syncStats();
  }
  return undefined;
}

/** revalidator/purge and dpctl/del-flows: every megaflow goes, with its counts told; packets bring them back. */
export async function purge(bridges: Bridges, datapath?: string): Promise<undefined> {
  for (const backer of datapathsNamed(bridges, datapath)) {
    backer.megaflows.flush();
    await backer.barrier();
    await backer.syncStats();
  }
  return undefined;
}
