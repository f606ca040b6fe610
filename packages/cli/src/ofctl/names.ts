import { OFPP } from "@sluice/openflow-codec";
import { CliError } from "../io.js";
import type { Context } from "./context.js";
import type { Vconn } from "./vconn.js";

/** The names of a switch's ports. A name that two ports have is none. */
export interface PortNames {
  readonly byName: ReadonlyMap<string, number>;
  readonly byNumber: ReadonlyMap<number, string>;
}

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

/** What names are shown in: on a terminal, and where --names asks for them. */
export async function shownNames(context: Context, vconn: Vconn): Promise<PortNames | undefined> {
  const { options, io } = context;
  const isTerminal = (io.stdout as { isTTY?: boolean }).isTTY === true;
  return options["no-names"] || !(options.names || isTerminal) ? undefined : portNames(vconn);
}

/** What names are understood in: everywhere, but with --no-names. */
export async function acceptedNames(context: Context, vconn: Vconn): Promise<PortNames | undefined> {
  return context.options["no-names"] ? undefined : portNames(vconn);
}

async function portNames(vconn: Vconn): Promise<PortNames> {
  const { entries } = await vconn.ask({ type: "OFPMP_PORT_DESC" });
  const count = new Map<string, number>();
  for (const { name } of entries) count.set(name, (count.get(name) ?? 0) + 1);
  const named = entries.filter(({ name }) => name !== "" && count.get(name) === 1);
  return {
    byName: new Map(named.map(({ name, port_no }) => [name, port_no])),
    byNumber: new Map(named.map(({ name, port_no }) => [port_no, name])),
  };
}

/** A port by number, reserved name, or (but with --no-names) its name. Throws CliError. */
export async function portNumber(context: Context, vconn: Vconn, text: string): Promise<number> {
  const number = Number(text);
  if (text !== "" && Number.isInteger(number) && number >= 0 && number <= 0xffffffff) return fromOf10(number);
  const reserved = RESERVED[text.toLowerCase()];
  if (reserved !== undefined) return reserved;
  const found = (await acceptedNames(context, vconn))?.byName.get(text.replace(/^"(.*)"$/, "$1"));
  if (found !== undefined) return found;
  throw new CliError(`${vconn.name}: couldn't find port \`${text}'`);
}

/** Reserved ports in the 16 bits of OpenFlow 1.0 (0xfff8 and up) mean those of 1.3, as they do to ovs-ofctl. */
const fromOf10 = (number: number): number =>
  number >= 0xfff8 && number <= 0xffff ? number + 0xffff0000 : number;
