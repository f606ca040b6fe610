import type { Bridges } from "../bridge/reconfigure.js";
import { datapathsNamed, nameOf } from "./datapaths.js";

/** What is asked of the slow path: its megaflows, how many there may be, and whether they are true by now. */

/** upcall/show: the megaflows of each datapath. */
export function upcallShow(bridges: Bridges): string {
  return [...bridges.backers()]
    .map((backer) => {
      const { size, limit } = backer.megaflows;
      return `${nameOf(backer)}:\n  flows         : (current ${size}) (limit ${limit})\n  ufid enabled : true\n`;
    })
    .join("\n");
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
