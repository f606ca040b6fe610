// Switches to measure, each in a namespace of its own between two hosts:
//   host "left" (eth0 10.0.0.1) -- p1 [switch] p2 -- host "right" (eth0 10.0.0.2)
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { daemon, sh, until } from "./shell.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const SLUICE = join(HERE, "../../packages/cli/bin/sluice.js");
const BARE_BRIDGE = join(HERE, "bare-bridge.mjs");
const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
/** `nobody`: whom a host throws frames away for, before its stack looks for whom they are and how to answer. */
export const MAC = { left: "02:00:00:00:00:01", right: "02:00:00:00:00:02", nobody: "02:00:00:00:00:fe" };
export const IP = { left: "10.0.0.1", right: "10.0.0.2" };

/** The kinds of switch: how the database server and the daemon are started, what is set before ports are added. What is
 *  no switch but shows how far one could get: programs that set it up, and one that forwards, if the kernel does not. */
const kinds = {
  sluice: {
    server: (dir) => ["node", SLUICE, "ovsdb-server", join(dir, "conf.db"), `--remote=punix:${dir}/db.sock`],
    daemon: (dir) => ["node", SLUICE, "vswitchd", `unix:${dir}/db.sock`],
  },
  // Ports by AF_XDP, which Debian's Open vSwitch is built without.
  "sluice-xdp": {
    xdp: true,
    server: (dir) => kinds.sluice.server(dir),
    daemon: (dir) => kinds.sluice.daemon(dir),
  },
  ovs: {
    schema: SCHEMA,
    server: (dir) => ["ovsdb-server", join(dir, "conf.db"), `--remote=punix:${dir}/db.sock`, "--no-chdir"],
    daemon: (dir) => ["ovs-vswitchd", "--disable-system", "--no-chdir", `unix:${dir}/db.sock`],
  },
  "ovs-tso": {
    schema: SCHEMA,
    settings: ["other_config:userspace-tso-enable=true"],
    server: (dir) => kinds.ovs.server(dir),
    daemon: (dir) => kinds.ovs.daemon(dir),
  },
  /** The kernel's own bridge. */
  bridge: {
    setUp: [
      ["ip", "link", "add", "br0", "type", "bridge"],
      ["ip", "link", "set", "p1", "master", "br0"],
      ["ip", "link", "set", "p2", "master", "br0"],
      ["ip", "link", "set", "br0", "up"],
    ],
  },
  /** Packet sockets with nothing between them. */
  sockets: { setUp: [], forwarder: ["node", join(HERE, "forward-frames.mjs"), "p1", "p2"] },
  /** AF_XDP sockets with nothing between them. */
  "sockets-xdp": { setUp: [], forwarder: ["node", join(HERE, "forward-frames.mjs"), "p1", "p2", "xdp"] },
};

/** Starts a switch of `kind` with its two hosts and a flow each way. Everything is undone by `cleanup`. */
export async function startSwitch(kind, cleanup) {
  const { schema, settings, xdp, server, daemon: daemonOf, setUp, forwarder } = kinds[kind];
  const dir = mkdtempSync(join(tmpdir(), "slb-"));
  cleanup(() => rmSync(dir, { recursive: true, force: true }));
  const names = await makeNamespaces(kind, cleanup);
  if (setUp) {
    for (const argv of setUp) await sh(argv, { netns: names.sw });
    const running = forwarder && daemon(forwarder, { netns: names.sw });
    if (running) cleanup(() => running.stop());
    return { kind, names, pid: running?.pid };
  }
  const env = { OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, SLUICE_RUNDIR: dir };
  const vsctl = (...args) => sh(["ovs-vsctl", `--db=unix:${dir}/db.sock`, "--timeout=20", ...args], { env });
  const ofctl = (...args) => sh(["ovs-ofctl", "-O", "OpenFlow13", "--timeout=20", ...args], { env });
  const appctl = (...args) =>
    sh(["ovs-appctl", "-t", controlSocket(dir), "-T", "60", ...args], { env, timeoutMs: 60_000 });
  const start = (argv) => {
    const running = daemon(argv, { netns: names.sw, env });
    cleanup(() => running.stop());
    return running;
  };

  if (schema) await sh(["ovsdb-tool", "create", join(dir, "conf.db"), schema]);
  const database = start(server(dir));
  await until(() => existsSync(join(dir, "db.sock")), `${kind}'s database`, 20_000, database.output);
  if (schema) await vsctl("--no-wait", "init");
  if (settings) await vsctl("--no-wait", "set", "Open_vSwitch", ".", ...settings);
  const switchd = start(daemonOf(dir));
  const ports = {};
  try {
    await vsctl(
      ...["--", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=secure"],
      ...["protocols=OpenFlow13", "--", "add-port", "br0", "p1", "--", "add-port", "br0", "p2"],
    );
    if (xdp) {
      for (const port of ["p1", "p2"]) await vsctl("set", "interface", port, "options:xdp-mode=native");
    }
    for (const port of ["p1", "p2"]) ports[port] = (await vsctl("get", "interface", port, "ofport")).trim();
    await setFlows({ ofctl, dir, ports }, cross(ports));
  } catch (error) {
    throw new Error(`${kind}: ${error.message}\n${switchd.output()}`);
  }
  // `ip netns exec` replaces itself by the program, so its process is the daemon.
  return { kind, pid: switchd.pid, names, vsctl, ofctl, appctl, dir, ports };
}

const controlSocket = (dir) =>
  join(
    dir,
    readdirSync(dir).find((file) => /^ovs-vswitchd\.\d+\.ctl$/.test(file)),
  );

export const countMegaflows = async ({ appctl }) =>
  Number(/flows: (\d+)/.exec(await appctl("dpctl/show"))?.[1] ?? 0);

/** Rules of one source each, those that a sender of kind "hosts" goes by, in its order. */
export const sourceRules = (count, actions) =>
  Array.from(
    { length: count },
    (_, i) => `priority=40000,udp,nw_src=10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255},${actions}`,
  );

/** The program that has the left host send, see there. */
export const frameSender = (seconds, flows, kind, rate) => [
  process.execPath,
  join(HERE, "send-frames.mjs"),
  "eth0",
  MAC.right,
  ...[seconds, flows, kind, rate].map(String),
];

/** Random words, the same in each run. */
function randomWords() {
  let random = 7;
  return () => {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    return random >>> 0;
  };
}

function prefix(address, bits) {
  const masked = (address & (-1 << (32 - bits))) >>> 0;
  return `${[24, 16, 8, 0].map((shift) => (masked >>> shift) & 255).join(".")}/${bits}`;
}

/** Two hosts with a program between them that passes frames on and does nothing else. */
export async function startBareBridge(cleanup) {
  const names = await makeNamespaces("bare", cleanup);
  const bridge = daemon([process.execPath, BARE_BRIDGE, "p1", "p2"], { netns: names.sw });
  cleanup(() => bridge.stop());
  await until(() => bridge.output().includes("ready"), "the bare bridge", 10_000, bridge.output);
  return { names };
}

/** What comes in by one port leaves by the other. */
export const cross = ({ p1, p2 }) => [
  `in_port=${p1},actions=output:${p2}`,
  `in_port=${p2},actions=output:${p1}`,
];

/** 10,000 rules of 20 masks, most of which no packet matches, over `cross`: prefixes of both addresses, with a UDP port
 *  or without. */
export function acl(ports) {
  const rules = [];
  const next = randomWords();
  const masks = [8, 16, 20, 24, 32].flatMap((src) =>
    [16, 24].flatMap((dst) => [true, false].map((udp) => ({ src, dst, udp }))),
  );
  for (let i = 0; i < 10_000; i++) {
    const { src, dst, udp } = masks[i % masks.length];
    const match = `nw_src=${prefix(next(), src)},nw_dst=${prefix(0x0a00_0000 + (next() & 0xff_ffff), dst)}`;
    const port = next() & 0x3ff;
    rules.push(
      `priority=${40_000 + (i % masks.length)},${udp ? `udp,tp_dst=${port}` : "ip"},${match},actions=drop`,
    );
  }
  return [...rules, ...cross(ports)];
}

/** 10,000 rules of 20 masks as an operator has them, over `cross`, which is what holds for the rest: services of 1,024
 *  servers and their subnets that some networks may not reach (7,500 rules with a TCP or UDP port), and prefixes that are
 *  kept out altogether (2,500). What looks at hosts and ports tells nearly all connections apart. */
export function operatorAcl(ports) {
  const next = randomWords();
  const within = (field, address, bits) => (bits === 0 ? "" : `,${field}=${prefix(address, bits)}`);
  const services = [0, 8, 16, 20, 24].flatMap((src) =>
    [24, 28, 32].map((dst) => ({ src, dst, isService: true })),
  );
  const networks = [16, 20, 24, 32].map((src) => ({ src, dst: 0, isService: false }));
  const masks = [...services, ...networks, { src: 16, dst: 24, isService: false }];
  const rules = Array.from({ length: 10_000 }, (_, i) => {
    const { src, dst, isService } = masks[i % masks.length];
    const what = isService ? `${next() & 1 ? "tcp" : "udp"},tp_dst=${next() & 0x3ff}` : "ip";
    const hosts = within("nw_src", next(), src) + within("nw_dst", 0x0a00_0000 + (next() & 0x3ff), dst);
    return `priority=${40_000 + (i % masks.length)},${what}${hosts},actions=drop`;
  });
  return [...rules, ...cross(ports)];
}

/** Replaces all flows. */
export async function setFlows({ ofctl, dir }, flows) {
  const bridge = `unix:${dir}/br0.mgmt`;
  await ofctl("del-flows", bridge);
  writeFileSync(join(dir, "flows.txt"), `${flows.join("\n")}\n`);
  await ofctl("add-flows", bridge, join(dir, "flows.txt"));
}

/** Removes the namespaces of runs that were killed. */
export async function removeLeftovers() {
  for (const [name, pid] of (await sh(["ip", "netns", "list"])).matchAll(/^slb-(\d+)-\S+/gm)) {
    if (!existsSync(`/proc/${pid}`)) await sh(["ip", "netns", "del", name]);
  }
}

async function makeNamespaces(kind, cleanup) {
  const prefix = `slb-${process.pid}-${kind}-`;
  const names = { left: `${prefix}l`, sw: `${prefix}s`, right: `${prefix}r` };
  for (const name of Object.values(names)) {
    await sh(["ip", "netns", "add", name]);
    cleanup(() => sh(["ip", "netns", "del", name]));
    await sh(["ip", "-n", name, "link", "set", "lo", "up"]);
  }
  for (const [side, port] of [
    ["left", "p1"],
    ["right", "p2"],
  ]) {
    const host = names[side];
    await sh([
      "ip",
      "-n",
      host,
      "link",
      "add",
      "eth0",
      "type",
      "veth",
      "peer",
      "name",
      port,
      "netns",
      names.sw,
    ]);
    await sh(["ip", "-n", host, "link", "set", "eth0", "address", MAC[side], "up"]);
    await sh(["ip", "-n", names.sw, "link", "set", port, "up"]);
    await sh(["ip", "-n", host, "addr", "add", `${IP[side]}/24`, "dev", "eth0"]);
  }
  return names;
}

/** Checksum and segmentation offloads of the hosts' interfaces. */
export async function setOffloads({ names }, state) {
  for (const host of [names.left, names.right]) {
    const features = ["tx", "rx", "sg", "tso", "gso", "gro"].flatMap((feature) => [feature, state]);
    await sh(["ethtool", "-K", "eth0", ...features], { netns: host });
  }
}
