import { formatMessage, OFPC_FRAG, OFPP, toJson } from "@sluice/openflow-codec";
import { CliError, write } from "../io.js";
import { type CommandTable, type OfctlCommand, withSwitch } from "./context.js";
import { portNumber } from "./names.js";
import { print, printJson, printMultipart } from "./print.js";
import type { MultipartBody } from "./vconn.js";

/** A command that asks one multipart request and prints the parts of its reply as they come. */
const dump = (body: MultipartBody): OfctlCommand => ({
  usage: "SWITCH",
  min: 1,
  max: 1,
  run: (context, [name]) =>
    withSwitch(context, name!, async (vconn) => {
      await printMultipart(context, vconn, body);
    }),
});

/** Commands that show what a switch is and how it stands. */
export const infoCommands: CommandTable = {
  show: {
    usage: "SWITCH",
    min: 1,
    max: 1,
    run: (context, [name]) =>
      withSwitch(context, name!, async (vconn) => {
        await print(context, await vconn.request({ type: "OFPT_FEATURES_REQUEST" }, "OFPT_FEATURES_REPLY"));
        await printMultipart(context, vconn, { type: "OFPMP_PORT_DESC" });
        await print(
          context,
          await vconn.request({ type: "OFPT_GET_CONFIG_REQUEST" }, "OFPT_GET_CONFIG_REPLY"),
        );
      }),
  },
  "dump-desc": dump({ type: "OFPMP_DESC" }),
  "dump-tables": dump({ type: "OFPMP_TABLE" }),
  // Joined: tables with the same features are told together.
  "dump-table-features": {
    ...dump({ type: "OFPMP_TABLE_FEATURES" }),
    run: (context, [name]) =>
      withSwitch(context, name!, async (vconn) => {
        const reply = await vconn.joined({ type: "OFPMP_TABLE_FEATURES" });
        if (context.options.json) return printJson(context, toJson(reply));
        // Without the line that names the message, as ovs-ofctl prints these.
        return write(context.io.stdout, formatMessage(reply).replace(/^.*\n/, ""));
      }),
  },
  "dump-group-features": dump({ type: "OFPMP_GROUP_FEATURES" }),
  "meter-features": dump({ type: "OFPMP_METER_FEATURES" }),

  // OpenFlow 1.3 has no request for one port's description: all are shown, as ovs-ofctl does.
  "dump-ports-desc": { ...dump({ type: "OFPMP_PORT_DESC" }), usage: "SWITCH [PORT]", max: 2 },

  "dump-ports": {
    usage: "SWITCH [PORT]",
    min: 1,
    max: 2,
    run: (context, [name, port]) =>
      withSwitch(context, name!, async (vconn) => {
        const port_no = port === undefined ? OFPP.ANY : await portNumber(context, vconn, port);
        await printMultipart(context, vconn, { type: "OFPMP_PORT_STATS", port_no });
      }),
  },

  "queue-stats": {
    usage: "SWITCH [PORT [QUEUE]]",
    min: 1,
    max: 3,
    run: (context, [name, port = "ALL", queue = "ALL"]) =>
      withSwitch(context, name!, async (vconn) => {
        const port_no = isAll(port) ? OFPP.ANY : await portNumber(context, vconn, port);
        const body = { type: "OFPMP_QUEUE", port_no, queue_id: queueNumber(queue) } as const;
        await printMultipart(context, vconn, body);
      }),
  },

  "queue-get-config": {
    usage: "SWITCH [PORT [QUEUE]]",
    min: 1,
    max: 3,
    run: (context, [name, port = "ANY", queue = "ANY"]) =>
      withSwitch(context, name!, async (vconn) => {
        queueNumber(queue);
        const number = isAll(port) ? OFPP.ANY : await portNumber(context, vconn, port);
        const request = { type: "OFPT_QUEUE_GET_CONFIG_REQUEST", port: number } as const;
        await print(context, await vconn.request(request, "OFPT_QUEUE_GET_CONFIG_REPLY"), vconn);
      }),
  },

  "get-frags": {
    usage: "SWITCH",
    min: 1,
    max: 1,
    run: (context, [name]) =>
      withSwitch(context, name!, async (vconn) => {
        const { flags } = await vconn.request({ type: "OFPT_GET_CONFIG_REQUEST" }, "OFPT_GET_CONFIG_REPLY");
        const mode = FRAG_MODES[flags & OFPC_FRAG.MASK]!;
        if (context.options.json) await printJson(context, { frag_mode: mode });
        else context.io.stdout.write(`${mode}\n`);
      }),
  },

  "set-frags": {
    usage: "SWITCH MODE",
    min: 2,
    max: 2,
    writes: true,
    run: (context, [name, mode]) =>
      withSwitch(context, name!, async (vconn) => {
        const value = FRAG_MODES.indexOf(mode!);
        if (value < 0)
          throw new CliError(`${mode}: unknown fragment handling mode; allowed are ${FRAG_MODES.join(", ")}`);
        const ask = () => vconn.request({ type: "OFPT_GET_CONFIG_REQUEST" }, "OFPT_GET_CONFIG_REPLY");
        const { flags, miss_send_len } = await ask();
        if ((flags & OFPC_FRAG.MASK) === value) return undefined;
        await vconn.command({
          type: "OFPT_SET_CONFIG",
          flags: (flags & ~OFPC_FRAG.MASK) | value,
          miss_send_len,
        });
        if (((await ask()).flags & OFPC_FRAG.MASK) !== value)
          throw new CliError(
            `${name}: the switch keeps its fragment handling mode; it seems not to support "${mode}"`,
          );
      }),
  },
};

/** ofp_config_flags' low two bits, by value (OpenFlow 1.3.5 §7.3.2); the last is Open vSwitch's own. */
const FRAG_MODES = ["normal", "drop", "reassemble", "nx-match"];

const isAll = (text: string): boolean => /^(all|any)$/i.test(text);

function queueNumber(text: string): number {
  if (isAll(text)) return 0xffffffff;
  const queue = Number(text);
  if (text !== "" && Number.isInteger(queue) && queue >= 0 && queue <= 0xffffffff) return queue;
  throw new CliError(`"${text}" is not a queue`);
}
