import { type MessageInitOf, OFPP, type PortNames, parseActions } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";
import { CliError } from "../io.js";
import { type CommandTable, withSwitch } from "./context.js";
import { acceptedNames, portByName } from "./names.js";

type PacketOutInit = MessageInitOf<"OFPT_PACKET_OUT">;

/** "in_port=PORT packet=HEX actions=…": actions stand last, as they have commas of their own. Without in_port the packet
 *  comes from the controller. */
export function packetOutOf(text: string, names: PortNames | undefined): PacketOutInit {
  const at = /(^|[\s,])actions?\s*=/.exec(text);
  const actions = at ? parseActions(text.slice(at.index + at[0].length), names) : [];
  let in_port: number | undefined;
  let packet: Uint8Array | undefined;
  for (const [, key, value = ""] of text.slice(0, at?.index).matchAll(/([^\s,=]+)\s*(?:=\s*([^\s,]*))?/g)) {
    if (key === "in_port") in_port = inPort(value, names);
    else if (key === "packet") packet = packetBytes(value);
    else throw new CliError(`unknown keyword ${key}; packet-out has in_port, packet and actions`);
  }
  if (packet === undefined) throw new CliError("packet-out needs packet=HEX");
  return { type: "OFPT_PACKET_OUT", in_port: in_port ?? OFPP.CONTROLLER, actions, data: packet };
}

function inPort(text: string, names: PortNames | undefined): number {
  const number = portByName(text, names);
  if (number === undefined) throw new CliError(`in_port: ${text} is not a port`);
  // NONE is OpenFlow 1.0's name; 1.3 has ANY for it, which is no place to come from: CONTROLLER is.
  return number === OFPP.ANY ? OFPP.CONTROLLER : number;
}

const ETHERNET_HEADER = 14;

function packetBytes(text: string): Uint8Array {
  try {
    const bytes = fromHex(text);
    if (bytes.length < ETHERNET_HEADER)
      throw new RangeError(`${bytes.length} bytes are too short for Ethernet (${ETHERNET_HEADER})`);
    return bytes;
  } catch (error) {
    throw new CliError(`packet: ${(error as Error).message}`);
  }
}

function messages(args: readonly string[], names: PortNames | undefined): { message: PacketOutInit }[] {
  if (args.length === 1) return [{ message: packetOutOf(args[0]!, names) }];
  // The older form: IN_PORT ACTIONS PACKET...
  const [port, actionText, ...packets] = args;
  if (packets.length === 0) throw new CliError('packet-out takes "in_port=PORT packet=HEX actions=…"');
  const in_port = inPort(port!, names);
  const actions = parseActions(actionText!, names);
  return packets.map((text) => ({
    message: { type: "OFPT_PACKET_OUT", in_port, actions, data: packetBytes(text) },
  }));
}

export const packetOutCommands: CommandTable = {
  "packet-out": {
    usage: 'SWITCH "in_port=PORT packet=HEX actions=..."',
    min: 2,
    max: Number.POSITIVE_INFINITY,
    writes: true,
    run: (context, [name, ...args]) =>
      withSwitch(context, name!, async (vconn) => {
        const names = await acceptedNames(context, vconn);
        for (const { message } of messages(args, names)) await vconn.command(message);
      }),
  },
};
