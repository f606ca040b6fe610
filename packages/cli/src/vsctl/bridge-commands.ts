import { type Datum, makeDatum, type Row } from "@sluice/ovsdb";
import { CliError } from "../io.js";
import { type Bridge, BridgeModel, type Port } from "./bridges.js";
import type { CallContext, Commands, Context } from "./context.js";
import { assign } from "./db-commands.js";

const MANY = Number.MAX_SAFE_INTEGER;

/** ovs-vsctl(8), "Bridge Commands", "Port Commands", "Interface Commands". */
export const bridgeCommands: Commands = {
  "add-br": { min: 1, max: 3, usage: "BRIDGE [PARENT VLAN]", options: ["--may-exist"], run: addBr },
  "del-br": { min: 1, max: 1, usage: "BRIDGE", options: ["--if-exists"], run: delBr },
  "list-br": { min: 0, max: 0, usage: "", options: ["--real", "--fake"], run: listBr },
  "br-exists": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => {
      if (!new BridgeModel(context.db).bridges.has(context.args[0]!)) context.exit(2);
    },
  },
  "br-to-vlan": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => context.print(`${new BridgeModel(context.db).bridge(context.args[0]!).vlan}\n`),
  },
  "br-to-parent": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => {
      const bridge = new BridgeModel(context.db).bridge(context.args[0]!);
      context.print(`${(bridge.parent ?? bridge).name}\n`);
    },
  },
  "br-set-external-id": { min: 2, max: 3, usage: "BRIDGE KEY [VALUE]", run: brSetExternalId },
  "br-get-external-id": { min: 1, max: 2, usage: "BRIDGE [KEY]", run: brGetExternalId },
  "list-ports": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => {
      const model = new BridgeModel(context.db);
      printSorted(
        context,
        model.portsOf(model.bridge(context.args[0]!)).map((port) => port.name),
      );
    },
  },
  "add-port": {
    min: 2,
    max: MANY,
    usage: "BRIDGE PORT [COLUMN[:KEY]=VALUE]...",
    options: ["--may-exist"],
    run: (context) => {
      const [bridge, port, ...settings] = context.args as [string, string, ...string[]];
      addPort(context, bridge, port, [port], settings);
    },
  },
  "add-bond": {
    min: 4,
    max: MANY,
    usage: "BRIDGE PORT IFACE IFACE... [COLUMN[:KEY]=VALUE]...",
    options: ["--may-exist", "--fake-iface"],
    run: (context) => {
      const [bridge, port, ...rest] = context.args as [string, string, ...string[]];
      const interfaces = rest.filter((arg) => !arg.includes("="));
      if (interfaces.length < 2) throw new CliError("add-bond requires at least 2 interfaces");
      addPort(context, bridge, port, interfaces, rest.slice(interfaces.length));
    },
  },
  "add-bond-iface": { min: 2, max: 2, usage: "BOND IFACE", options: ["--may-exist"], run: addBondIface },
  "del-bond-iface": { min: 1, max: 2, usage: "[BOND] IFACE", options: ["--if-exists"], run: delBondIface },
  "del-port": {
    min: 1,
    max: 2,
    usage: "[BRIDGE] PORT",
    options: ["--if-exists", "--with-iface"],
    run: delPort,
  },
  "port-to-br": {
    min: 1,
    max: 1,
    usage: "PORT",
    run: (context) => context.print(`${new BridgeModel(context.db).port(context.args[0]!).bridge.name}\n`),
  },
  "list-ifaces": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => {
      const model = new BridgeModel(context.db);
      const bridge = model.bridge(context.args[0]!);
      const interfaces = model.portsOf(bridge).flatMap((port) => port.interfaces);
      printSorted(
        context,
        interfaces.map((iface) => context.db.text("Interface", iface, "name")),
      );
    },
  },
  "iface-to-br": {
    min: 1,
    max: 1,
    usage: "IFACE",
    run: (context) => {
      const [name] = context.args as [string];
      const model = new BridgeModel(context.db);
      const port = model.localPorts.has(name) ? undefined : model.interfaces.get(name);
      if (!port) throw new CliError(`no interface named ${name}`);
      context.print(`${port.bridge.name}\n`);
    },
  },
};

const printSorted = (context: CallContext, names: readonly string[]): void => {
  for (const name of [...names].sort()) context.print(`${name}\n`);
};

const withAtom = ({ keys }: Datum, atom: string): string[] => [...(keys as string[]), atom];
const withoutAtom = ({ keys }: Datum, atom: string): string[] =>
  (keys as string[]).filter((key) => key !== atom);

function addBr(context: CallContext): void {
  const { db, args, options } = context;
  const [name, parentName, vlanText] = args as [string, string?, string?];
  if (args.length === 2) throw new CliError("'add-br' command takes exactly 1 or 3 arguments");
  const vlan = Number(vlanText ?? 0);
  if (parentName !== undefined && !(Number.isInteger(vlan) && vlan >= 0 && vlan <= 4095))
    throw new CliError(`${name}: vlan must be between 0 and 4095`);
  const model = new BridgeModel(db);
  const existing = model.bridges.get(name);
  if (existing && options.has("--may-exist")) {
    refuseOther(existing, parentName, vlan);
    return;
  }
  model.refuseTaken(name, `cannot create a bridge named ${name}`);
  const iface = newInterface(db, name, "internal");
  if (parentName === undefined) {
    const port = db.insert("Port", { name, interfaces: [iface.uuid] });
    const bridge = db.insert("Bridge", { name, ports: [port.uuid] });
    const root = db.root();
    db.set("Open_vSwitch", root, "bridges", withAtom(db.get("Open_vSwitch", root, "bridges"), bridge.uuid));
    return;
  }
  const parent = model.bridges.get(parentName);
  if (!parent) throw new CliError(`parent bridge ${parentName} does not exist`);
  if (parent.parent) throw new CliError("cannot create bridge with fake bridge as parent");
  const port = db.insert("Port", { name, interfaces: [iface.uuid], fake_bridge: true, tag: vlan });
  db.set("Bridge", parent.row, "ports", withAtom(db.get("Bridge", parent.row, "ports"), port.uuid));
}

function refuseOther(existing: Bridge, parent: string | undefined, vlan: number): void {
  const command = `"--may-exist add-br ${existing.name}${parent === undefined ? "" : ` ${parent} ${vlan}`}"`;
  if (parent === undefined && existing.parent)
    throw new CliError(
      `${command} but ${existing.name} is a VLAN bridge with parent ${existing.parent.name} for VLAN ${existing.vlan}`,
    );
  if (parent === undefined) return;
  if (!existing.parent) throw new CliError(`${command} but ${existing.name} is not a VLAN bridge`);
  if (existing.parent.name !== parent)
    throw new CliError(`${command} but ${existing.name} has the wrong parent ${existing.parent.name}`);
  if (existing.vlan !== vlan)
    throw new CliError(
      `${command} but ${existing.name} is a VLAN bridge for the wrong VLAN ${existing.vlan}`,
    );
}

const newInterface = (db: Context, name: string, type?: string): Row => {
  const iface = db.insert("Interface", type === undefined ? { name } : { name, type });
  db.newInterfaces.push(iface.uuid);
  return iface;
};

function removePort(db: Context, port: Port): void {
  const { row } = port.bridge;
  const bridge = db.row("Bridge", row.uuid);
  if (bridge)
    db.set("Bridge", bridge, "ports", withoutAtom(db.get("Bridge", bridge, "ports"), port.row.uuid));
  for (const iface of port.interfaces) db.delete("Interface", iface);
  db.delete("Port", port.row);
}

function delBr(context: CallContext): void {
  const { db, args, options } = context;
  const model = new BridgeModel(db);
  const bridge = options.has("--if-exists") ? model.bridges.get(args[0]!) : model.bridge(args[0]!);
  if (!bridge) return;
  const local = model.localPorts.get(bridge.name);
  if (bridge.parent) {
    for (const port of model.portsOf(bridge)) removePort(db, port);
    if (local) removePort(db, local);
    return;
  }
  for (const port of [...model.ports.values(), ...model.localPorts.values()])
    if (port.bridge.row === bridge.row) {
      for (const iface of port.interfaces) db.delete("Interface", iface);
      db.delete("Port", port.row);
    }
  const root = db.root();
  db.set(
    "Open_vSwitch",
    root,
    "bridges",
    withoutAtom(db.get("Open_vSwitch", root, "bridges"), bridge.row.uuid),
  );
  db.delete("Bridge", bridge.row);
}

function listBr(context: CallContext): void {
  const { options, db } = context;
  const isWanted = ({ parent }: Bridge): boolean =>
    options.has("--real") ? !parent : options.has("--fake") ? parent !== undefined : true;
  const names = [...new BridgeModel(db).bridges.values()].filter(isWanted).map((bridge) => bridge.name);
  printSorted(context, names);
}

function addPort(
  context: CallContext,
  bridgeName: string,
  name: string,
  interfaces: readonly string[],
  settings: readonly string[],
): void {
  const { db, options, command, args } = context;
  const model = new BridgeModel(db);
  const existing = model.ports.get(name);
  if (existing && options.has("--may-exist")) {
    const isBond = interfaces.length > 1 || command.usage.includes("IFACE");
    const shown = `"--may-exist add-${isBond ? "bond" : "port"} ${args.slice(0, isBond ? undefined : 2).join(" ")}"`;
    model.bridge(bridgeName);
    if (existing.bridge.name !== bridgeName)
      throw new CliError(`${shown} but ${name} is actually attached to bridge ${existing.bridge.name}`);
    const have = existing.interfaces.map((iface) => db.text("Interface", iface, "name")).sort();
    if (have.join() !== [...interfaces].sort().join())
      throw new CliError(`${shown} but ${name} actually has interface(s) ${have.join(", ")}`);
    return;
  }
  model.refuseTaken(name, `cannot create a port named ${name}`);
  for (const iface of interfaces)
    if (iface !== name) model.refuseTaken(iface, `cannot create an interface named ${iface}`);
  const bridge = model.bridge(bridgeName);
  const uuids = interfaces.map((iface) => newInterface(db, iface).uuid);
  const port = db.insert("Port", { name, interfaces: uuids, bond_fake_iface: options.has("--fake-iface") });
  if (bridge.parent) db.set("Port", port, "tag", [bridge.vlan]);
  for (const setting of settings) assign(db, db.table("Port"), port, setting);
  db.set("Bridge", bridge.row, "ports", withAtom(db.get("Bridge", bridge.row, "ports"), port.uuid));
}

function delPort(context: CallContext): void {
  const { db, args, options } = context;
  const model = new BridgeModel(db);
  const bridgeName = args.length === 2 ? args[0]! : undefined;
  const name = args.at(-1)!;
  if (bridgeName !== undefined) model.bridge(bridgeName);
  const port =
    model.ports.get(name) ?? (options.has("--with-iface") ? model.interfaces.get(name) : undefined);
  if (!port) {
    if (options.has("--if-exists")) return;
    if (model.bridges.has(name) && model.localPorts.has(name))
      throw new CliError(
        `cannot delete port ${name} because it is the local port for bridge ${name} (deleting this port requires deleting the entire bridge)`,
      );
    throw new CliError(`no port named ${name}`);
  }
  if (bridgeName !== undefined && port.bridge.name !== bridgeName) {
    const { parent } = port.bridge;
    if (parent?.name === bridgeName)
      throw new CliError(
        `bridge ${bridgeName} does not have a port ${name} (although its parent bridge does)`,
      );
    throw new CliError(`bridge ${bridgeName} does not have a port ${name}`);
  }
  removePort(db, port);
}

function addBondIface({ db, args, options }: CallContext): void {
  const [bond, name] = args as [string, string];
  const model = new BridgeModel(db);
  const port = model.port(bond);
  if (options.has("--may-exist") && model.interfaces.get(name) === port) return;
  model.refuseTaken(name, `cannot create an interface named ${name}`);
  const iface = newInterface(db, name);
  db.set("Port", port.row, "interfaces", withAtom(db.get("Port", port.row, "interfaces"), iface.uuid));
}

function delBondIface({ db, args, options }: CallContext): void {
  const name = args.at(-1)!;
  const model = new BridgeModel(db);
  const port = model.interfaces.get(name);
  if (!port) {
    if (options.has("--if-exists")) return;
    throw new CliError(`no interface named ${name}`);
  }
  if (args.length === 2 && port.name !== args[0])
    throw new CliError(`port ${args[0]} does not have an interface ${name}`);
  if (port.interfaces.length === 1) throw new CliError(`cannot delete last interface from port ${port.name}`);
  const iface = port.interfaces.find((row) => db.text("Interface", row, "name") === name)!;
  db.set("Port", port.row, "interfaces", withoutAtom(db.get("Port", port.row, "interfaces"), iface.uuid));
  db.delete("Interface", iface);
}

/** Where a bridge's external ids are, with which keys: a fake one's are its port's, behind "fake-bridge-". */
const externalIds = ({ db, args }: CallContext): { table: string; row: Row; prefix: string } => {
  const model = new BridgeModel(db);
  const bridge = model.bridge(args[0]!);
  if (!bridge.parent) return { table: "Bridge", row: bridge.row, prefix: "" };
  return { table: "Port", row: model.localPorts.get(bridge.name)!.row, prefix: "fake-bridge-" };
};

function brSetExternalId(context: CallContext): void {
  const { db, args } = context;
  const { table, row, prefix } = externalIds(context);
  const key = prefix + args[1]!;
  const { keys, values } = db.get(table, row, "external_ids");
  const others = keys.map((_, i) => i).filter((i) => keys[i] !== key);
  const store = db.table(table);
  const added = args.length === 3 ? [args[2]!] : [];
  const datum = makeDatum(
    [...others.map((i) => keys[i]!), ...added.map(() => key)],
    [...others.map((i) => values![i]!), ...added],
  );
  db.put(store, row, store.schema.column("external_ids"), datum);
}

function brGetExternalId(context: CallContext): void {
  const { db, args } = context;
  const { table, row, prefix } = externalIds(context);
  const { keys, values } = db.get(table, row, "external_ids");
  keys.forEach((key, i) => {
    const name = String(key);
    if (!name.startsWith(prefix)) return;
    const shown = name.slice(prefix.length);
    if (args.length === 1) context.print(`${shown}=${String(values![i])}\n`);
    else if (shown === args[1]) context.print(`${String(values![i])}\n`);
  });
}
