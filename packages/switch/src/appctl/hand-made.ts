import { open } from "node:fs/promises";
import type { Bridges } from "../bridge/reconfigure.js";
import type { OdpAction } from "../dpif/actions.js";
import { type PortNumber, parseOdpMatch } from "../dpif/odp-parse.js";
import { parseOdpActions } from "../dpif/odp-parse-actions.js";
import { formatOdpMatch } from "../dpif/odp-text.js";
import { ETH_VLAN } from "../flow/extract.js";
import { type FlowKey, type FlowMask, flowField, setField } from "../flow/flow-key.js";
import { type FlowMatch, type FlowValue, keyToMatch, matchToKey } from "../flow/match.js";
import type { DpBacker } from "../ofproto/backer.js";
import type { Megaflow } from "../ofproto/megaflow-table.js";
import { datapathsNamed } from "./datapaths.js";
import { countsOf, giveName, megaflowNamed, portsOf } from "./megaflow-text.js";

/** Megaflows that a person puts into the datapath, changes there or takes out (dpctl/add-flow and its kin). OpenFlow
 *  goes on to say what is right: one that was put in lasts until the next round of expiry, one that was changed until it
 *  is next translated; and every packet counts for whom OpenFlow would have it count. */

export interface ChangeOptions {
  /** Tells what it had counted. */
  readonly statistics: boolean;
  /** Its counts begin anew. */
  readonly clear: boolean;
  /** A flow that is not there is put in. */
  readonly mayCreate: boolean;
}

/** A flow as it was written. */
interface Written {
  readonly key: FlowKey;
  readonly mask: FlowMask;
  /** What it is called. */
  readonly ufid: string | undefined;
  /** Whether it says what sort of packet it is of: translation always asks. */
  readonly hasPacketType: boolean;
}

/** The one datapath that is meant. Throws one line. */
function datapathOf(bridges: Bridges, name: string | undefined): DpBacker {
  const backers = datapathsNamed(bridges, name);
  if (backers.length === 1) return backers[0]!;
  throw new Error(backers.length === 0 ? "there is no datapath" : "please specify an existing datapath");
}

/** A flow and its actions as they were written, and the datapath that is meant. Throws one line. */
function readFlow(bridges: Bridges, datapath: string | undefined, flow: string, actions: string) {
  const backer = datapathOf(bridges, datapath);
  const ports = portNumbers(bridges, backer);
  return { backer, written: writtenFlow(flow, ports), parsed: writtenActions(actions, ports) };
}

/** dpctl/add-flow. */
export async function addMegaflow(
  bridges: Bridges,
  datapath: string | undefined,
  flow: string,
  actions: string,
): Promise<undefined> {
  const { backer, written, parsed } = readFlow(bridges, datapath, flow, actions);
  const isThere = written.ufid !== undefined && megaflowNamed(backer, written.ufid) !== undefined;
  if (isThere || first(backer.megaflows.metBy(written.key)))
    throw new Error("updating flow table (File exists)");
  put(backer, written, parsed);
  await backer.dpif.barrier();
}

/** dpctl/mod-flow. */
export async function modMegaflow(
  bridges: Bridges,
  datapath: string | undefined,
  flow: string,
  actions: string,
  { statistics, clear, mayCreate }: ChangeOptions,
  nowMs: number,
): Promise<string> {
  const { backer, written, parsed } = readFlow(bridges, datapath, flow, actions);
  await backer.syncStats();
  const before = find(backer, written) ?? first(backer.megaflows.metBy(written.key));
  if (before) {
    backer.megaflows.setActions(before.id, parsed);
    // What went by the actions before counts before it.
    if (clear) {
      await backer.syncStats();
      backer.megaflows.clearCounts(before.birth);
    }
  } else if (mayCreate) put(backer, written, parsed);
  else throw new Error("updating flow table (No such file or directory)");
  await backer.dpif.barrier();
  return statistics ? `${countsOf(before ?? NO_COUNTS, nowMs)}\n` : "";
}

const NO_COUNTS = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };

/** dpctl/del-flow: by its name, or as a dump writes it. What a dump tells beside the flow says no more. */
export async function delMegaflow(
  bridges: Bridges,
  datapath: string | undefined,
  flow: string,
  { statistics }: Pick<ChangeOptions, "statistics">,
  nowMs: number,
): Promise<string> {
  const backer = datapathOf(bridges, datapath);
  await backer.syncStats();
  const ufid = ufidIn(flow);
  const found =
    ufid === undefined
      ? find(backer, writtenFlow(flow, portNumbers(bridges, backer)))
      : megaflowNamed(backer, ufid);
  if (!found)
    throw new Error("deleting flow (No such file or directory)\nPerhaps you need to specify a UFID?");
  backer.megaflows.delete(found.id);
  await backer.barrier();
  await backer.syncStats();
  return statistics ? `${countsOf(found, nowMs)}\n` : "";
}

/** What a line of a file asks for where it does not begin with one of these words itself. */
export type Change = "add" | "modify" | "delete";

/** dpctl/add-flows, mod-flows and del-flows: a change a line, each on its own. Throws what went wrong, a line for
 *  each line of the file, when all the others have been carried out. */
export async function changeMegaflows(
  bridges: Bridges,
  datapath: string | undefined,
  path: string,
  change: Change,
  options: ChangeOptions,
  nowMs: number,
): Promise<string> {
  const lines = (await textOf(path)).split("\n");
  const problems: string[] = [];
  let told = "";
  for (const [i, line] of lines.entries()) {
    const text = line.replace(/#.*/, "").trim();
    if (text === "" || text.startsWith("flow-dump from ")) continue;
    try {
      told += await changeBy(bridges, datapath, text, change, options, nowMs);
    } catch (error) {
      problems.push(`line ${i + 1}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return told;
}

async function changeBy(
  bridges: Bridges,
  datapath: string | undefined,
  text: string,
  change: Change,
  options: ChangeOptions,
  nowMs: number,
): Promise<string> {
  const [, word = change, rest = ""] = /^(?:(add|modify|delete)\s+)?(.*)$/.exec(text) ?? [];
  if (word === "delete") return delMegaflow(bridges, datapath, rest, options, nowMs);
  const [flow, actions] = flowAndActions(rest);
  if (word === "modify") return modMegaflow(bridges, datapath, flow, actions, options, nowMs);
  await addMegaflow(bridges, datapath, flow, actions);
  return "";
}

/** A flow and actions after a space; or a line of a dump. */
function flowAndActions(text: string): readonly [string, string] {
  const dumped =
    /^(.*?), packets:.*?, actions:(.*)$/.exec(text) ?? /^(.*\))\s+(?:actions:)?(\S+)$/.exec(text);
  if (!dumped) throw new Error("a flow, a space and actions are needed");
  return [dumped[1]!, dumped[2]!];
}

const MAX_FILE = 64 << 20;

async function textOf(path: string): Promise<string> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === "ENOENT" ? "No such file or directory" : error.message;
    throw new Error(`Opening file "${path}" failed (${why})`);
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > MAX_FILE)
      throw new Error(`Opening file "${path}" failed (it is no file of at most ${MAX_FILE} bytes)`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

function put(backer: DpBacker, { key, mask, ufid, hasPacketType }: Written, actions: OdpAction[]): void {
  const id = backer.putByHand({ key, mask, actions }, hasPacketType);
  if (id === 0) throw new Error("updating flow table (No space left on device)");
  if (ufid !== undefined) giveName(backer, id, ufid);
}

/** The megaflow that is written, as far as a dump would tell it. */
function find(backer: DpBacker, { key, mask, ufid }: Written): Megaflow | undefined {
  if (ufid !== undefined) return megaflowNamed(backer, ufid);
  const text = formatOdpMatch(keyToMatch(key, mask));
  for (const one of backer.megaflows.metBy(key))
    if (formatOdpMatch(keyToMatch(one.key, one.mask)) === text) return one;
  return undefined;
}

const first = <T>(all: Iterable<T>): T | undefined => {
  for (const one of all) return one;
  return undefined;
};

function portNumbers(bridges: Bridges, backer: DpBacker): PortNumber {
  const ports = portsOf(bridges, backer);
  return (name) => ports.get(name);
}

const ufidIn = (text: string): string | undefined => /^\s*(ufid:[^,\s]*)/.exec(text)?.[1]?.toLowerCase();

function writtenActions(text: string, ports: PortNumber): OdpAction[] {
  try {
    return parseOdpActions(text, ports);
  } catch (error) {
    throw new Error(`parsing actions (${(error as Error).message}) (Invalid argument)`);
  }
}

function writtenFlow(text: string, ports: PortNumber): Written {
  try {
    const { key, mask } = keyAndMask(parseOdpMatch(text.split(", packets:")[0]!, ports));
    return { key, mask, ufid: ufidIn(text), hasPacketType: /\bpacket_type\(/.test(text) };
  } catch (error) {
    throw new Error(`parsing flow key (${(error as Error).message}) (Invalid argument)`);
  }
}

/** A flow's values, whole, and the bits of them that are asked for. Throws one line. */
function keyAndMask(match: ReturnType<typeof parseOdpMatch>): { key: FlowKey; mask: FlowMask } {
  if (match.in_port === undefined) throw new RangeError("it has no in_port");
  const values: Record<string, FlowValue> = {};
  const exact: Record<string, FlowValue> = {};
  const masks: Record<string, FlowValue> = {};
  for (const [name, given] of Object.entries(match)) {
    if (typeof given === "object") {
      values[name] = given.value;
      masks[name] = given.mask;
    } else {
      values[name] = given;
      exact[name] = given;
    }
  }
  const { key } = matchToKey(values as FlowMatch);
  const { mask } = matchToKey(exact as FlowMatch);
  const { key: partly } = matchToKey(masks as FlowMatch);
  for (let i = 0; i < mask.length; i++) mask[i]! |= partly[i]!;
  // Every flow is of packets that came back for the same, or did not.
  setField(mask, flowField("recirc_id"), 0xffff_ffff);
  if (match.eth_type !== undefined) {
    const isTagged = match.vlan_vid !== undefined;
    if (isTagged) setField(key, flowField("vlan_tpid"), ETH_VLAN);
    else setField(mask, flowField("vlan_tci"), 0xffff);
    setField(mask, flowField("vlan_tpid"), 0xffff);
  }
  const shown = keyToMatch(key, mask);
  const lost = Object.keys(match).find((name) => !Object.hasOwn(shown, name) && !isEmpty(masks[name]));
  if (lost !== undefined) throw new RangeError(`${lost}: packets of this flow have no such field`);
  return { key, mask };
}

const isEmpty = (mask: FlowValue | undefined): boolean =>
  mask !== undefined && (typeof mask === "string" ? /^[0:.]*$/.test(mask) : Number(mask) === 0);
