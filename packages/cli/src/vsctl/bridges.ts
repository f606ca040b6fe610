import type { Row } from "@sluice/ovsdb";
import { CliError } from "../io.js";
import type { Context } from "./context.js";

// A bridge as ovs-vsctl's commands see it: a real one is a row of Bridge; a fake one is a port with fake_bridge set,
// which stands for one VLAN of its parent (ovs-vsctl(8), "Bridge Commands").

export interface Bridge {
  readonly name: string;
  /** The row of the real bridge: the parent's for a fake one. */
  readonly row: Row;
  /** The fake bridge's parent and VLAN. */
  readonly parent: Bridge | undefined;
  readonly vlan: number;
}

export interface Port {
  readonly name: string;
  readonly row: Row;
  readonly bridge: Bridge;
  readonly interfaces: readonly Row[];
}

/** The bridges, ports and interfaces as they are now, by name. */
export class BridgeModel {
  readonly bridges = new Map<string, Bridge>();
  /** Without the ports that stand for their bridges. */
  readonly ports = new Map<string, Port>();
  readonly localPorts = new Map<string, Port>();
  readonly interfaces = new Map<string, Port>();

  constructor(db: Context) {
    for (const row of db.rows("Bridge")) {
      const name = db.text("Bridge", row, "name");
      this.bridges.set(name, { name, row, parent: undefined, vlan: 0 });
    }
    for (const bridge of [...this.bridges.values()]) this.#addPorts(db, bridge);
  }

  #addPorts(db: Context, bridge: Bridge): void {
    const rows = db.uuids("Bridge", bridge.row, "ports").flatMap((uuid) => db.row("Port", uuid) ?? []);
    const fakes = new Map<number, Bridge>();
    const tagOf = (row: Row): number | undefined => db.get("Port", row, "tag").keys[0] as number | undefined;
    for (const row of rows) {
      const name = db.text("Port", row, "name");
      const vlan = tagOf(row);
      if (db.text("Port", row, "fake_bridge") !== "true" || vlan === undefined || this.bridges.has(name))
        continue;
      const fake = { name, row: bridge.row, parent: bridge, vlan };
      fakes.set(vlan, fake);
      this.bridges.set(name, fake);
    }
    for (const row of rows) {
      const name = db.text("Port", row, "name");
      const owner = fakes.get(tagOf(row) ?? -1) ?? bridge;
      const interfaces = db
        .uuids("Port", row, "interfaces")
        .flatMap((uuid) => db.row("Interface", uuid) ?? []);
      const port: Port = { name, row, bridge: owner, interfaces };
      if (this.bridges.has(name)) this.localPorts.set(name, port);
      else this.ports.set(name, port);
      for (const iface of interfaces) this.interfaces.set(db.text("Interface", iface, "name"), port);
    }
  }

  bridge(name: string): Bridge {
    const bridge = this.bridges.get(name);
    if (!bridge) throw new CliError(`no bridge named ${name}`);
    return bridge;
  }

  realBridge(name: string): Bridge {
    const bridge = this.bridge(name);
    if (bridge.parent) throw new CliError(`${name} is a fake bridge`);
    return bridge;
  }

  port(name: string): Port {
    const port = this.ports.get(name);
    if (!port) throw new CliError(`no port named ${name}`);
    return port;
  }

  portsOf(bridge: Bridge): Port[] {
    return [...this.ports.values()].filter((port) => port.bridge === bridge);
  }

  /** Throws unless the name is free for a bridge, a port or an interface to be made. */
  refuseTaken(name: string, what: string): void {
    const because = (reason: string): CliError => new CliError(`${what} because ${reason}`);
    if (this.bridges.has(name)) throw because(`a bridge named ${name} already exists`);
    const port = this.ports.get(name);
    if (port) throw because(`a port named ${name} already exists on bridge ${port.bridge.name}`);
    const iface = this.interfaces.get(name);
    if (iface) throw because(`an interface named ${name} already exists on bridge ${iface.bridge.name}`);
  }
}
