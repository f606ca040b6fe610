import { OFPP, OFPPC } from "@sluice/openflow-codec";
import { CliError } from "../io.js";
import { type CommandTable, withSwitch } from "./context.js";
import { portNumber } from "./names.js";

interface Setting {
  /** Bits of ofp_port_config. OpenFlow 1.3 lacks some that ovs-ofctl names: those change nothing, as there. */
  bit: number;
  on: boolean;
}

const SETTINGS: Readonly<Record<string, Setting>> = {
  up: { bit: OFPPC.PORT_DOWN, on: false },
  down: { bit: OFPPC.PORT_DOWN, on: true },
  receive: { bit: OFPPC.NO_RECV, on: false },
  "no-receive": { bit: OFPPC.NO_RECV, on: true },
  forward: { bit: OFPPC.NO_FWD, on: false },
  "no-forward": { bit: OFPPC.NO_FWD, on: true },
  "packet-in": { bit: OFPPC.NO_PACKET_IN, on: false },
  "no-packet-in": { bit: OFPPC.NO_PACKET_IN, on: true },
  stp: { bit: 0, on: true },
  "no-stp": { bit: 0, on: false },
  "receive-stp": { bit: 0, on: true },
  "no-receive-stp": { bit: 0, on: false },
  flood: { bit: 0, on: true },
  "no-flood": { bit: 0, on: false },
};

/** mod-table's settings that other versions of OpenFlow have. */
const OTHER_VERSIONS: Readonly<Record<string, string>> = {
  drop: "OpenFlow11, OpenFlow12",
  continue: "OpenFlow11, OpenFlow12",
  controller: "OpenFlow11, OpenFlow12",
  evict: "OpenFlow14, OpenFlow15",
  noevict: "OpenFlow14, OpenFlow15",
  vacancy: "OpenFlow14, OpenFlow15",
  novacancy: "OpenFlow14, OpenFlow15",
};

const MAX_TABLE_NAME = 31;

/** Commands that change ports and tables themselves. */
export const portCommands: CommandTable = {
  "mod-port": {
    usage: "SWITCH PORT ACTION",
    min: 3,
    max: 3,
    writes: true,
    run: (context, [name, port, action]) =>
      withSwitch(context, name!, async (vconn) => {
        const setting = Object.hasOwn(SETTINGS, action!) ? SETTINGS[action!] : undefined;
        if (!setting)
          throw new CliError(
            `unknown mod-port command '${action}'; allowed are ${Object.keys(SETTINGS).join(", ")}`,
          );
        const { entries } = await vconn.ask({ type: "OFPMP_PORT_DESC" });
        const number = await portNumber(context, vconn, port!).catch(() => OFPP.ANY);
        const found = entries.find(({ port_no }) => port_no === number);
        if (!found) throw new CliError(`${name}: couldn't find port \`${port}'`);
        const { port_no, hw_addr } = found;
        const { bit, on } = setting;
        await vconn.command({ type: "OFPT_PORT_MOD", port_no, hw_addr, config: on ? bit : 0, mask: bit });
      }),
  },

  "mod-table": {
    usage: "SWITCH TABLE name:NAME",
    min: 3,
    max: 3,
    writes: true,
    run: (context, [name, table, setting]) =>
      withSwitch(context, name!, async (vconn) => {
        const [kind, ...value] = setting!.split(":");
        const versions = OTHER_VERSIONS[kind!];
        if (versions)
          throw new CliError(`table_mod '${setting}' requires one of the OpenFlow versions ${versions}`);
        const newName = value.join(":");
        if (kind !== "name" || value.length === 0)
          throw new CliError(`invalid table_mod setting ${setting}; allowed is name:NAME`);
        if (Buffer.byteLength(newName) > MAX_TABLE_NAME)
          throw new CliError(`${newName}: a table's name has at most ${MAX_TABLE_NAME} bytes`);
        const { entries } = await vconn.ask({ type: "OFPMP_TABLE_FEATURES", entries: [] });
        const found = entries.find(({ table_id, name }) => String(table_id) === table || name === table);
        if (!found) throw new CliError(`unknown table "${table}"`);
        // All tables go back as they came: one that is left out would be a table to remove (§7.3.5.5).
        const changed = entries.map((entry) => (entry === found ? { ...found, name: newName } : entry));
        await vconn.ask({ type: "OFPMP_TABLE_FEATURES", entries: changed });
      }),
  },
};
