import { type Atom, type Datum, findKey, makeDatum, parseAtom, type Row } from "@sluice/ovsdb";
import { CliError } from "../io.js";
import { BridgeModel } from "./bridges.js";
import type { CallContext, Commands, Context } from "./context.js";

const MANY = Number.MAX_SAFE_INTEGER;

/** ovs-vsctl(8), "Conntrack Zone Commands", "Datapath Capabilities Command", "Auto-Attach Commands". */
export const datapathCommands: Commands = {
  "add-zone-tp": {
    min: 3,
    max: MANY,
    usage: "DATAPATH zone=ZONE KEY=SECONDS...",
    options: ["--may-exist"],
    run: addZonePolicy,
  },
  "del-zone-tp": {
    min: 2,
    max: 2,
    usage: "DATAPATH zone=ZONE",
    options: ["--if-exists"],
    run: (context) => {
      const { db, args, options } = context;
      const datapath = datapathRow(db, args[0]!, `datapath ${args[0]} does not exist`);
      const zone = zoneOf(args[1]!);
      if (referred(db, datapath, zone)) putPair(db, "Datapath", datapath, "ct_zones", zone, undefined);
      else if (!options.has("--if-exists")) throw new CliError(`zone id ${zone} does not exist`);
    },
  },
  "list-zone-tp": { min: 1, max: 1, usage: "DATAPATH", run: listZonePolicies },
  "list-dp-cap": {
    min: 1,
    max: 1,
    usage: "DATAPATH",
    run: (context) => {
      const { db, args } = context;
      const datapath = datapathRow(db, args[0]!, `datapath "${args[0]}" record not found`);
      context.print(`${pairsText(db.get("Datapath", datapath, "capabilities"))}\n`);
    },
  },
  "add-aa-mapping": {
    min: 3,
    max: 3,
    usage: "BRIDGE I-SID VLAN",
    run: (context) => {
      const { db } = context;
      const { bridge, attach } = autoAttach(context);
      const [isid, vlan] = mappingOf(context);
      const row = attach ?? db.insert("AutoAttach", {});
      if (!attach) db.set("Bridge", bridge, "auto_attach", [row.uuid]);
      // A service that is mapped keeps its VLAN.
      if (findKey(db.get("AutoAttach", row, "mappings").keys, isid) < 0)
        putPair(db, "AutoAttach", row, "mappings", isid, vlan);
    },
  },
  "del-aa-mapping": {
    min: 3,
    max: 3,
    usage: "BRIDGE I-SID VLAN",
    run: (context) => {
      const { attach } = autoAttach(context);
      const [isid, vlan] = mappingOf(context);
      if (!attach) return;
      const { keys, values } = context.db.get("AutoAttach", attach, "mappings");
      const at = findKey(keys, isid);
      if (at >= 0 && values![at] === vlan)
        putPair(context.db, "AutoAttach", attach, "mappings", isid, undefined);
    },
  },
  "get-aa-mapping": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => {
      const { attach } = autoAttach(context);
      if (!attach) return;
      const { keys, values } = context.db.get("AutoAttach", attach, "mappings");
      keys.forEach((isid, i) => {
        context.print(`${String(isid)} ${String(values![i])}\n`);
      });
    },
  },
};

const pairsText = ({ keys, values }: Datum): string =>
  keys.map((key, i) => `${String(key)}=${String(values![i])}`).join(" ");

/** Sets a key of a map column, or with `value` undefined takes it out. */
function putPair(
  db: Context,
  table: string,
  row: Row,
  name: string,
  key: Atom,
  value: Atom | undefined,
): void {
  const column = db.table(table).schema.column(name);
  const { keys, values } = row.get(column);
  const others = keys.map((_, i) => i).filter((i) => keys[i] !== key);
  const added = value === undefined ? [] : [value];
  const datum = makeDatum(
    [...others.map((i) => keys[i]!), ...added.map(() => key)],
    [...others.map((i) => values![i]!), ...added],
  );
  db.put(db.table(table), row, column, datum);
}

function datapathRow(db: Context, name: string, otherwise: string): Row {
  const { keys, values } = db.get("Open_vSwitch", db.root(), "datapaths");
  const at = findKey(keys, name);
  const row = at < 0 ? undefined : db.row("Datapath", String(values![at]));
  if (!row) throw new CliError(otherwise);
  return row;
}

/** The CT_Zone row of a datapath's zone. */
const referred = (db: Context, datapath: Row, zone: number): Row | undefined => {
  const { keys, values } = db.get("Datapath", datapath, "ct_zones");
  const at = findKey(keys, zone);
  return at < 0 ? undefined : db.row("CT_Zone", String(values![at]));
};

function zoneOf(text: string): number {
  const [, digits] = /^zone=(\d+)$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) > 0xffff)
    throw new CliError(`${text}: expected zone=ZONE, of 0 to 65535`);
  return Number(digits);
}

function addZonePolicy({ db, args, options }: CallContext): void {
  const datapath = datapathRow(db, args[0]!, `datapath ${args[0]} does not exist`);
  const zone = zoneOf(args[1]!);
  const existing = referred(db, datapath, zone);
  if (existing && !options.has("--may-exist")) throw new CliError(`zone id ${zone} already exists`);
  const policies = db.table("CT_Timeout_Policy");
  const timeouts = policies.schema.column("timeouts");
  const pairs = args.slice(2).map((text): [Atom, Atom] => {
    const [, key, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (key === undefined) throw new CliError(`${text}: expected KEY=SECONDS`);
    return [parseAtom(timeouts.type.key, key), parseAtom(timeouts.type.value!, value!)];
  });
  const policy = db.insert("CT_Timeout_Policy", {});
  const datum = makeDatum(
    pairs.map(([key]) => key),
    pairs.map(([, value]) => value),
  );
  db.put(policies, policy, timeouts, datum);
  // As ovs-vsctl does it: a zone that is there gets the new policy.
  const row = existing ?? db.insert("CT_Zone", {});
  db.set("CT_Zone", row, "timeout_policy", [policy.uuid]);
  if (!existing) putPair(db, "Datapath", datapath, "ct_zones", zone, row.uuid);
}

function listZonePolicies(context: CallContext): void {
  const { db, args } = context;
  const datapath = datapathRow(db, args[0]!, `datapath: ${args[0]} record not found`);
  const { keys, values } = db.get("Datapath", datapath, "ct_zones");
  keys.forEach((zone, i) => {
    const row = db.row("CT_Zone", String(values![i]));
    const uuid = row && db.uuids("CT_Zone", row, "timeout_policy")[0];
    const policy = uuid === undefined ? undefined : db.row("CT_Timeout_Policy", uuid);
    const text = policy ? pairsText(db.get("CT_Timeout_Policy", policy, "timeouts")) : "system default";
    context.print(`Zone:${String(zone)}, Timeout Policies: ${text}\n`);
  });
}

function autoAttach({ db, args }: CallContext): { bridge: Row; attach: Row | undefined } {
  const bridge = new BridgeModel(db).bridge(args[0]!).row;
  const uuid = db.uuids("Bridge", bridge, "auto_attach")[0];
  return { bridge, attach: uuid === undefined ? undefined : db.row("AutoAttach", uuid) };
}

const mappingOf = ({ db, args }: CallContext): [isid: Atom, vlan: Atom] => {
  const { type } = db.table("AutoAttach").schema.column("mappings");
  return [parseAtom(type.key, args[1]!), parseAtom(type.value!, args[2]!)];
};
