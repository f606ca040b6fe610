import { randomBytes } from "node:crypto";
import { encode } from "@sluice/openflow-codec";
import { CliError } from "../io.js";
import { type CommandTable, withSwitch } from "./context.js";
import { printJson } from "./print.js";

const PINGS = 10;
const ECHO_HEADER = 8;
const MAX_PAYLOAD = 0xffff - ECHO_HEADER;
/** Echo requests in flight in a benchmark, so that neither side's buffers decide. */
const WINDOW = 64;

function payloadSize(text: string): number {
  const size = Number(text);
  if (/^\d+$/.test(text) && size <= MAX_PAYLOAD) return size;
  throw new CliError(`"${text}" is not a payload size (0 to ${MAX_PAYLOAD} bytes)`);
}

/** Commands that see whether a switch or a controller answers, and how fast. */
export const livenessCommands: CommandTable = {
  probe: {
    usage: "TARGET",
    min: 1,
    max: 1,
    run: (context, [name]) =>
      withSwitch(context, name!, async (vconn) => {
        const reply = await vconn.request({ type: "OFPT_ECHO_REQUEST" }, "OFPT_ECHO_REPLY");
        if (reply.data.length > 0) throw new CliError(`${name}: the echo reply differs from the request`);
      }),
  },

  ping: {
    usage: "TARGET [BYTES]",
    min: 1,
    max: 2,
    run: (context, [name, size = "64"]) =>
      withSwitch(context, name!, async (vconn) => {
        const bytes = payloadSize(size);
        for (let i = 0; i < PINGS; i++) {
          const data = Uint8Array.from(randomBytes(bytes));
          const start = context.clock.now();
          const reply = await vconn.request({ type: "OFPT_ECHO_REQUEST", data }, "OFPT_ECHO_REPLY");
          const ms = context.clock.now() - start;
          if (Buffer.compare(reply.data, data) !== 0)
            throw new CliError(`${name}: the echo reply differs from the request`);
          const xid = reply.xid.toString(16).padStart(8, "0");
          if (context.options.json) await printJson(context, { bytes, target: name, xid: reply.xid, ms });
          else context.io.stdout.write(`${bytes} bytes from ${name}: xid=${xid} time=${ms.toFixed(1)} ms\n`);
        }
      }),
  },

  benchmark: {
    usage: "TARGET BYTES COUNT",
    min: 3,
    max: 3,
    run: (context, [name, size, count]) =>
      withSwitch(context, name!, async (vconn) => {
        const data = new Uint8Array(payloadSize(size!));
        const packets = Number(count);
        if (!/^\d+$/.test(count!) || packets < 1) throw new CliError(`"${count}" is not a number of packets`);
        const each = data.length + ECHO_HEADER;
        const total = each * packets;
        const { json } = context.options;
        if (!json)
          context.io.stdout.write(
            `Sending ${packets} packets * ${each} bytes (with header) = ${total} bytes total\n`,
          );
        const start = context.clock.now();
        // Packed once; the switch does not care that all have one xid.
        const request = encode({ type: "OFPT_ECHO_REQUEST", xid: 0, data });
        let sent = 0;
        for (let answered = 0; answered < packets; answered++) {
          for (; sent < packets && sent - answered < WINDOW; sent++) vconn.sendBytes(request);
          await vconn.reply(0);
        }
        const ms = context.clock.now() - start;
        const perSecond = (amount: number): string => ((amount * 1000) / ms).toFixed(0);
        if (json) await printJson(context, { packets, bytes: total, ms });
        else
          context.io.stdout.write(
            `Finished in ${ms.toFixed(1)} ms (${perSecond(packets)} packets/s) (${perSecond(total)} bytes/s)\n`,
          );
      }),
  },
};
