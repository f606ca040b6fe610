import { sendBundle } from "./bundle.js";
import { type CommandTable, withSwitch } from "./context.js";
import { flowOf, parsedLines } from "./flow-spec.js";
import { groupOf } from "./groups.js";
import { acceptedNames } from "./names.js";
import { packetOutOf } from "./packet-out.js";

const KIND = /^(flow|group|packet-out)\s+/;

export const bundleCommands: CommandTable = {
  bundle: {
    usage: "SWITCH FILE|-",
    min: 2,
    max: 2,
    writes: true,
    run: (context, [name, file]) =>
      withSwitch(context, name!, async (vconn) => {
        const names = await acceptedNames(context, vconn);
        const parse = (line: string) => {
          const kind = KIND.exec(line);
          const text = line.slice(kind?.[0].length ?? 0);
          if (kind?.[1] === "flow") return flowOf(text, "any", names);
          if (kind?.[1] === "group") return groupOf(text, "any", names);
          if (kind?.[1] === "packet-out") return packetOutOf(text, names);
          throw new RangeError("a line of a bundle starts with flow, group or packet-out");
        };
        await sendBundle(vconn, await parsedLines(context, file!, parse));
      }),
  },
};
