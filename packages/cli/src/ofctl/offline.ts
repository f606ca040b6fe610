import {
  decode,
  encode,
  Framer,
  formatMessage,
  OfDecodeError,
  type OfMessageInit,
  parseGroup,
  toJson,
} from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";
import { CliError, write } from "../io.js";
import type { CommandTable, Context } from "./context.js";
import { capturedMessages, formatTime } from "./decode.js";
import { flowOf, flowsOf } from "./flow-spec.js";
import { openInput, readSpecs } from "./lines.js";
import { packetLine } from "./packet-text.js";
import { ended, printJson } from "./print.js";
import { formatUndecodable } from "./undecodable.js";

/** Prints one message's bytes, whatever they are. */
async function printBytes(context: Context, bytes: Uint8Array): Promise<void> {
  try {
    const message = decode(bytes);
    if (context.options.json) await printJson(context, toJson(message));
    else
      await write(
        context.io.stdout,
        ended(formatMessage(message, context.options.more ? { packet: packetLine } : {})),
      );
  } catch (error) {
    if (!(error instanceof OfDecodeError)) throw error;
    const { error_type: type, error_code: code, path, offset, message } = error;
    if (context.options.json) await printJson(context, { error: { type, code, path, offset, message } });
    else await write(context.io.stdout, formatUndecodable(bytes, error));
  }
}

function bytesOf(hex: string): Uint8Array {
  try {
    return fromHex(hex);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

/** Shows what a flow becomes on the wire. Only one format is spoken here. */
async function printParsed(context: Context, message: OfMessageInit): Promise<void> {
  await printBytes(context, encode({ ...message, xid: context.xids.next++ }));
}
const announce = ({ options, io }: Context, chosen = "chosen protocol: OXM-OpenFlow13"): Promise<void> =>
  options.json ? Promise.resolve() : write(io.stdout, `usable protocols: OXM-OpenFlow13\n${chosen}\n`);

/** Commands that need no switch. */
export const offlineCommands: CommandTable = {
  "ofp-print": {
    usage: "HEX|- [VERBOSITY]",
    min: 1,
    max: 2,
    run: async (context, [hex]) => {
      if (hex !== "-") return printBytes(context, bytesOf(hex!));
      for await (const { text } of readSpecs("-", context.io.stdin)) await printBytes(context, bytesOf(text));
    },
  },

  "ofp-parse": {
    usage: "FILE|-  (messages as they are on the wire)",
    min: 1,
    max: 1,
    run: async (context, [file]) => {
      const framer = new Framer();
      for await (const chunk of await openInput(file!, context.io.stdin)) {
        framer.push(chunk as Uint8Array);
        for (let bytes = framer.next(); bytes !== undefined; bytes = framer.next())
          await printBytes(context, bytes);
      }
      if (framer.pending > 0) throw new CliError(`${file}: ends within a message`);
    },
  },

  "ofp-parse-pcap": {
    usage: "FILE|- [PORT...]",
    min: 1,
    max: Number.POSITIVE_INFINITY,
    run: async (context, [file, ...ports]) => {
      for await (const { time, src, dst, bytes } of capturedMessages(context, file!)) {
        if (ports.length > 0 && !ports.some((port) => src.endsWith(`:${port}`) || dst.endsWith(`:${port}`)))
          continue;
        const clock = context.options.timestamp ? `${formatTime(time).slice(11, 23)} ` : "";
        const dotted = (end: string): string => end.replace(/:(\d+)$/, ".$1");
        if (!context.options.json)
          await write(context.io.stdout, `\n${clock}${dotted(src)} > ${dotted(dst)}:\n`);
        await printBytes(context, bytes);
      }
    },
  },

  "parse-flow": {
    usage: "FLOW",
    min: 1,
    max: 1,
    run: async (context, [flow]) => {
      const message = flowOf(flow!, "any", undefined);
      await announce(context);
      await printParsed(context, message);
    },
  },

  "parse-flows": {
    usage: "FILE|-",
    min: 1,
    max: 1,
    run: async (context, [file]) => {
      const flows = await flowsOf(context, file!, "any", undefined);
      await announce(context);
      for (const { message } of flows) await printParsed(context, message);
    },
  },

  "parse-group": {
    usage: "GROUP",
    min: 1,
    max: 1,
    run: async (context, [group]) => {
      const message = parseGroup(group!);
      await announce(context, "chosen version: OpenFlow13");
      await printParsed(context, message);
    },
  },
};
