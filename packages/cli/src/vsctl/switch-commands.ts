import type { Row } from "@sluice/ovsdb";
import { CliError } from "../io.js";
import { BridgeModel } from "./bridges.js";
import type { CallContext, Commands, Context } from "./context.js";
import { show } from "./show.js";

const MANY = Number.MAX_SAFE_INTEGER;

/** ovs-vsctl(8), "Open vSwitch Commands", "OpenFlow Controller Connectivity", "Manager Connectivity", "SSL
 *  Configuration". */
export const switchCommands: Commands = {
  init: { min: 0, max: 0, usage: "", run: () => {} },
  show: { min: 0, max: 0, usage: "", run: show },
  "emer-reset": { min: 0, max: 0, usage: "", run: emerReset },
  "get-controller": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => {
      const { db } = context;
      const bridge = realBridge(context);
      printTargets(context, "Controller", db.uuids("Bridge", bridge, "controller"));
    },
  },
  "del-controller": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => replaceTargets(context, "Bridge", realBridge(context), "controller", "Controller", []),
  },
  "set-controller": {
    min: 1,
    max: MANY,
    usage: "BRIDGE TARGET...",
    options: ["--inactivity-probe="],
    run: (context) =>
      replaceTargets(
        context,
        "Bridge",
        realBridge(context),
        "controller",
        "Controller",
        context.args.slice(1),
      ),
  },
  "get-fail-mode": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => {
      const mode = context.db.text("Bridge", realBridge(context), "fail_mode");
      if (mode) context.print(`${mode}\n`);
    },
  },
  "del-fail-mode": {
    min: 1,
    max: 1,
    usage: "BRIDGE",
    run: (context) => context.db.set("Bridge", realBridge(context), "fail_mode", []),
  },
  "set-fail-mode": {
    min: 2,
    max: 2,
    usage: "BRIDGE MODE",
    run: (context) => {
      const mode = context.args[1]!;
      const bridge = realBridge(context);
      if (mode !== "standalone" && mode !== "secure")
        throw new CliError('fail-mode must be "standalone" or "secure"');
      context.db.set("Bridge", bridge, "fail_mode", [mode]);
    },
  },
  "get-manager": {
    min: 0,
    max: 0,
    usage: "",
    run: (context) => {
      const { db } = context;
      printTargets(context, "Manager", db.uuids("Open_vSwitch", db.root(), "manager_options"));
    },
  },
  "del-manager": {
    min: 0,
    max: 0,
    usage: "",
    run: (context) =>
      replaceTargets(context, "Open_vSwitch", context.db.root(), "manager_options", "Manager", []),
  },
  "set-manager": {
    min: 1,
    max: MANY,
    usage: "TARGET...",
    options: ["--inactivity-probe="],
    run: (context) =>
      replaceTargets(context, "Open_vSwitch", context.db.root(), "manager_options", "Manager", context.args),
  },
  "get-ssl": { min: 0, max: 0, usage: "", run: getSsl },
  "del-ssl": { min: 0, max: 0, usage: "", run: ({ db }) => delSsl(db) },
  "set-ssl": {
    min: 3,
    max: 3,
    usage: "PRIVATE-KEY CERTIFICATE CA-CERT",
    options: ["--bootstrap"],
    run: ({ db, args, options }) => {
      delSsl(db);
      const [private_key, certificate, ca_cert] = args as [string, string, string];
      const bootstrap_ca_cert = options.has("--bootstrap");
      const ssl = db.insert("SSL", { private_key, certificate, ca_cert, bootstrap_ca_cert });
      db.set("Open_vSwitch", db.root(), "ssl", [ssl.uuid]);
    },
  },
};

const realBridge = ({ db, args }: CallContext): Row => {
  const bridge = new BridgeModel(db).bridge(args[0]!);
  // A fake bridge has its parent's controllers and fail mode.
  return bridge.row;
};

function printTargets(context: CallContext, table: string, uuids: readonly string[]): void {
  const { db } = context;
  const targets = uuids
    .flatMap((uuid) => db.row(table, uuid) ?? [])
    .map((row) => db.text(table, row, "target"));
  for (const target of targets.sort()) context.print(`${target}\n`);
}

/** Makes the rows that `column` refers to be those with just these targets. */
function replaceTargets(
  { db, options, warn }: CallContext,
  ownerTable: string,
  owner: Row,
  column: string,
  table: string,
  targets: readonly string[],
): void {
  const probe = options.get("--inactivity-probe");
  if (probe !== undefined && !/^\d+$/.test(probe))
    throw new CliError(`--inactivity-probe: "${probe}" is not a number of milliseconds`);
  for (const uuid of db.uuids(ownerTable, owner, column)) {
    const row = db.row(table, uuid);
    if (row) db.delete(table, row);
  }
  for (const target of targets)
    if (!/^p?(tcp|ssl|unix):/.test(target)) warn(`target type "${target}" is possibly erroneous`);
  const rows = [...new Set(targets)].map((target) =>
    db.insert(table, probe === undefined ? { target } : { target, inactivity_probe: Number(probe) }),
  );
  db.set(
    ownerTable,
    owner,
    column,
    rows.map((row) => row.uuid),
  );
}

function getSsl(context: CallContext): void {
  const { db } = context;
  const uuid = db.uuids("Open_vSwitch", db.root(), "ssl")[0];
  const ssl = uuid === undefined ? undefined : db.row("SSL", uuid);
  if (!ssl) return;
  const text = (column: string): string => db.text("SSL", ssl, column);
  context.print(
    `Private key: ${text("private_key")}\nCertificate: ${text("certificate")}\n` +
      `CA Certificate: ${text("ca_cert")}\nBootstrap: ${text("bootstrap_ca_cert")}\n`,
  );
}

function delSsl(db: Context): void {
  const root = db.root();
  for (const uuid of db.uuids("Open_vSwitch", root, "ssl")) {
    const ssl = db.row("SSL", uuid);
    if (ssl) db.delete("SSL", ssl);
  }
  db.set("Open_vSwitch", root, "ssl", []);
}

/** Puts what controllers may have changed back to how it was made (ovs-vsctl(8), "emer-reset"). */
function emerReset({ db }: CallContext): void {
  const clear = (table: string, row: Row, ...columns: string[]): void => {
    const store = db.table(table);
    for (const name of columns) {
      const column = store.schema.find(name);
      if (column) db.put(store, store.rows.get(row.uuid)!, column, column.default);
    }
  };
  const keepOnly = (table: string, row: Row, column: string, keep: readonly string[]): void => {
    const store = db.table(table);
    const { keys, values } = db.get(table, row, column);
    const kept = keys.map((_, i) => i).filter((i) => keep.includes(String(keys[i])));
    db.put(store, row, store.schema.column(column), {
      keys: kept.map((i) => keys[i]!),
      values: values && kept.map((i) => values[i]!),
    });
  };
  const root = db.root();
  clear("Open_vSwitch", root, "manager_options", "ssl");
  for (const row of db.rows("Bridge")) {
    clear("Bridge", row, "controller", "fail_mode", "mirrors", "netflow", "sflow", "ipfix", "auto_attach");
    keepOnly("Bridge", db.row("Bridge", row.uuid)!, "other_config", ["hwaddr"]);
  }
  for (const row of db.rows("Port")) keepOnly("Port", row, "other_config", ["hwaddr"]);
  for (const row of db.rows("Interface"))
    clear("Interface", row, "ingress_policing_rate", "ingress_policing_burst");
  for (const table of ["Mirror", "Controller", "Manager", "NetFlow", "sFlow", "IPFIX", "SSL", "AutoAttach"])
    for (const row of db.rows(table)) db.delete(table, row);
}
