import { formatMessage, type MessageInitOf, type PortNames, toJson } from "@sluice/openflow-codec";
import { type ControlCommands, ControlServer } from "@sluice/runtime";
import { fromHex, toHex } from "@sluice/wire";
import { CliError, write } from "../io.js";
import { version } from "../version.js";
import { type CommandTable, type Context, withSwitch } from "./context.js";
import { flowOf } from "./flow-spec.js";
import { acceptedNames, shownNames } from "./names.js";
import { packetLine } from "./packet-text.js";
import { ended, print, printJson } from "./print.js";
import { formatUndecodable } from "./undecodable.js";
import { type Received, RefusedError, type Vconn } from "./vconn.js";

type PacketInFormat = MessageInitOf<"NXT_SET_PACKET_IN_FORMAT">["format"];

const FORMATS: Readonly<Record<string, PacketInFormat>> = {
  standard: "NXPIF_STANDARD",
  openflow10: "NXPIF_STANDARD",
  nxt_packet_in: "NXPIF_NXT_PACKET_IN",
  nxm: "NXPIF_NXT_PACKET_IN",
  nxt_packet_in2: "NXPIF_NXT_PACKET_IN2",
};

/** Bits of onf_flow_monitor_flags by the word that leaves each out. */
const WATCH_FLAGS: Readonly<Record<string, number>> = {
  "!initial": 1,
  "!add": 2,
  "!delete": 4,
  "!modify": 8,
  "!actions": 16,
  "!own": 32,
};
const ALL_WATCH_FLAGS = 0x3f;

/** "watch:[SPEC...]": what to watch of the flow tables, in the form of ONF extension 187. */
function watchRequest(spec: string, names: PortNames | undefined) {
  let flags = ALL_WATCH_FLAGS;
  const rest: string[] = [];
  for (const word of spec.split(",").map((each) => each.trim()))
    if (Object.hasOwn(WATCH_FLAGS, word)) flags &= ~WATCH_FLAGS[word]!;
    else if (word.startsWith("!"))
      throw new CliError(`${word}: unknown; allowed are ${Object.keys(WATCH_FLAGS).join(" ")}`);
    else rest.push(word);
  const { table_id, out_port, match } = flowOf(rest.join(","), "delete", names);
  const entry = { id: 0, out_port, flags, table_id, match };
  return { type: "ONFMP_FLOW_MONITOR", entries: [entry] } as const;
}

/** Asks for packet-ins in the richest format that the switch has, or in the one of -P. */
async function choosePacketInFormat(vconn: Vconn, wanted: string | undefined): Promise<void> {
  const format = wanted === undefined ? "NXPIF_NXT_PACKET_IN2" : FORMATS[wanted];
  if (format === undefined)
    throw new CliError(`${wanted}: unknown packet-in format; allowed are ${Object.keys(FORMATS).join(", ")}`);
  try {
    await vconn.command({ type: "NXT_SET_PACKET_IN_FORMAT", format });
  } catch (error) {
    // A switch without Nicira's extensions has the standard format.
    if (!(error instanceof RefusedError) || (wanted !== undefined && format !== "NXPIF_STANDARD"))
      throw error;
  }
}

async function setMissLength(vconn: Vconn, text: string): Promise<void> {
  const miss_send_len = Number(text);
  if (!(miss_send_len <= 0xffff)) throw new CliError(`${text}: a miss-len is 0 to 65535`);
  const { flags } = await vconn.request({ type: "OFPT_GET_CONFIG_REQUEST" }, "OFPT_GET_CONFIG_REPLY");
  await vconn.command({ type: "OFPT_SET_CONFIG", flags, miss_send_len });
}

const stamp = (context: Context): string =>
  context.options.timestamp
    ? `${new Date(context.clock.wallNow()).toISOString().replace("T", " ").replace("Z", "")}: `
    : "";

/** Prints what comes in, to standard error as ovs-ofctl does, or as JSON to standard output. */
async function showReceived(
  context: Context,
  received: Received,
  names: PortNames | undefined,
): Promise<void> {
  const { message, error, bytes } = received;
  const { options, io, clock } = context;
  if (options.json) {
    const time = options.timestamp ? { time: new Date(clock.wallNow()).toISOString() } : {};
    const { error_type: type, error_code: code, path, offset } = error ?? {};
    const document = message
      ? { ...time, ...(toJson(message) as object) }
      : { ...time, error: { type, code, path, offset, message: error!.message }, bytes: toHex(bytes) };
    return printJson(context, document);
  }
  const text = message
    ? formatMessage(message, { ...names, packet: packetLine })
    : formatUndecodable(bytes, error!);
  return write(io.stderr, `${stamp(context)}${ended(text)}`);
}

/** Shows messages until the switch closes, or until the control socket (with --unixctl) is asked to exit. */
async function follow(context: Context, vconn: Vconn): Promise<void> {
  const names = await shownNames(context, vconn);
  const control = await controlServer(context, vconn);
  try {
    for (;;) {
      const received = await Promise.race([vconn.receive(), control.exited]);
      if (received === "exit") return;
      if (received === undefined) throw new CliError(`${vconn.name}: the switch closed the connection`);
      await showReceived(context, received, names);
    }
  } finally {
    await control.close();
  }
}

/** The commands by which a running monitor is told to send messages or to end. */
async function controlServer({ options }: Context, vconn: Vconn) {
  if (options.unixctl === undefined) return { exited: new Promise<never>(() => {}), close: async () => {} };
  let exit: (reason: "exit") => void;
  const exited = new Promise<"exit">((resolve) => {
    exit = resolve;
  });
  const commands: ControlCommands = {
    exit: {
      run: () => {
        exit("exit");
      },
    },
    "ofctl/send": {
      usage: "HEX...",
      args: [1, 1024],
      run: (messages) => {
        for (const hex of messages) vconn.sendBytes(fromHex(hex));
      },
    },
    "ofctl/barrier": {
      run: () => {
        vconn.send({ type: "OFPT_BARRIER_REQUEST" });
      },
    },
  };
  const server = new ControlServer(`sluice ofctl ${version()}`, commands);
  await server.listen(options.unixctl);
  return { exited, close: () => server.close() };
}

/** Commands that show messages as they come. */
export const monitorCommands: CommandTable = {
  monitor: {
    usage: "SWITCH [MISS-LEN] [watch:[SPEC...]]",
    min: 1,
    max: 4,
    run: (context, [name, ...args]) =>
      withSwitch(context, name!, async (vconn) => {
        const watches: string[] = [];
        for (const arg of args) {
          if (/^\d+$/.test(arg)) await setMissLength(vconn, arg);
          else if (arg.startsWith("watch:")) watches.push(arg.slice("watch:".length));
          else if (arg === "invalid_ttl")
            throw new CliError("invalid_ttl: OpenFlow 1.3 asks for these packet-ins by OFPT_SET_ASYNC");
          else throw new CliError(`${arg}: unsupported "monitor" argument`);
        }
        await choosePacketInFormat(vconn, context.options["packet-in-format"]);
        const names = watches.length > 0 ? await acceptedNames(context, vconn) : undefined;
        for (const watch of watches) await print(context, await vconn.joined(watchRequest(watch, names)));
        await follow(context, vconn);
      }),
  },

  snoop: {
    usage: "SWITCH",
    min: 1,
    max: 1,
    run: (context, [name]) => withSwitch(context, name!, (vconn) => follow(context, vconn), "snoop"),
  },
};
