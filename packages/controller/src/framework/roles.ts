import type { Switch } from "./app.js";
import { OfpRequestError } from "./requests.js";

/** What a controller is to a switch that several control (OpenFlow 1.3.5 §6.3.4): `equal` and `master` may write, `slave`
 *  only reads. A switch has one master at most; a new one makes the one before it a slave. */
export type Role = "equal" | "master" | "slave";

const OFPCR = {
  equal: "OFPCR_ROLE_EQUAL",
  master: "OFPCR_ROLE_MASTER",
  slave: "OFPCR_ROLE_SLAVE",
} as const;

/** Takes a role at a switch. Generations of masters are told apart by a number that must not fall; the time serves for it,
 *  and where the switch has seen a higher one (OFPRRFC_STALE), the next after that. Rejects where the switch refuses. */
export async function takeRole(
  dp: Pick<Switch, "request">,
  role: Role,
  generation_id: bigint,
): Promise<void> {
  const ask = (generation: bigint) =>
    dp.request({ type: "OFPT_ROLE_REQUEST", role: OFPCR[role], generation_id: generation });
  try {
    await ask(generation_id);
  } catch (error) {
    if (!(error instanceof OfpRequestError) || error.error_code !== "OFPRRFC_STALE") throw error;
    const now = await dp.request({
      type: "OFPT_ROLE_REQUEST",
      role: "OFPCR_ROLE_NOCHANGE",
      generation_id: 0n,
    });
    await ask(BigInt.asUintN(64, now.generation_id + (role === "master" ? 1n : 0n)));
  }
}
