import { OFPP, type Port, type PortNames } from "@sluice/openflow-codec";
import { CliError } from "../io.js";
import type { Context } from "./context.js";
import type { Vconn } from "./vconn.js";

const RESERVED: Readonly<Record<string, number>> = {
  in_port: OFPP.IN_PORT,
  table: OFPP.TABLE,
  normal: OFPP.NORMAL,
  flood: OFPP.FLOOD,
  all: OFPP.ALL,
  controller: OFPP.CONTROLLER,
  local: OFPP.LOCAL,
  any: OFPP.ANY,
  none: OFPP.ANY,
};

/** Names to show ports by: on a terminal, and where --names asks for them. */
export async function shownNames({ options, io }: Context, vconn: Vconn): Promise<PortNames | undefined> {
  const isTerminal = (io.stdout as { isTTY?: boolean }).isTTY === true;
  if (options["no-names"] || !(options.names || isTerminal)) return undefined;
  const names = new Map((await uniqueNames(vconn)).map(({ name, port_no }) => [port_no, name]));
  return { name: (port) => names.get(port) };
}

/** Names to understand ports by: everywhere, but with --no-names. */
export async function acceptedNames({ options }: Context, vconn: Vconn): Promise<PortNames | undefined> {
  if (options["no-names"]) return undefined;
  const numbers = new Map((await uniqueNames(vconn)).map(({ name, port_no }) => [name, port_no]));
  return { number: (name) => numbers.get(name) };
}

/** A name that two ports have (they are cut to 15 bytes) is none. */
async function uniqueNames(vconn: Vconn): Promise<readonly Port[]> {
  const { entries } = await vconn.ask({ type: "OFPMP_PORT_DESC" });
  const count = new Map<string, number>();
  for (const { name } of entries) count.set(name, (count.get(name) ?? 0) + 1);
  return entries.filter(({ name }) => name !== "" && count.get(name) === 1);
}

/** A port by number, reserved name, or its name among `names`. */
export function portByName(text: string, names: PortNames | undefined): number | undefined {
  const number = Number(text);
  if (text !== "" && Number.isInteger(number) && number >= 0 && number <= 0xffffffff) return fromOf10(number);
  return RESERVED[text.toLowerCase()] ?? names?.number?.(text.replace(/^"(.*)"$/, "$1"));
}

/** A port of the switch, by name too but with --no-names. Throws CliError. */
export async function portNumber(context: Context, vconn: Vconn, text: string): Promise<number> {
  const found = portByName(text, undefined) ?? portByName(text, await acceptedNames(context, vconn));
  if (found !== undefined) return found;
  throw new CliError(`${vconn.name}: couldn't find port \`${text}'`);
}

/** Reserved ports in the 16 bits of OpenFlow 1.0 (0xfff8 and up) mean those of 1.3, as they do to ovs-ofctl. */
const fromOf10 = (number: number): number =>
  number >= 0xfff8 && number <= 0xffff ? number + 0xffff0000 : number;
