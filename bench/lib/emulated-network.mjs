// A network of emulated OpenFlow 1.3 switches: what one is told to send by a port arrives, as a packet-in, at the switch
// at the other end of the cable. Flows and groups are kept, so that paths can be followed.
import { once } from "node:events";
import { connect } from "node:net";
import { decode, encode } from "@sluice/openflow-codec";

const TYPE = {
  HELLO: 0,
  ECHO_REQUEST: 2,
  ECHO_REPLY: 3,
  FEATURES_REQUEST: 5,
  PACKET_OUT: 13,
  FLOW_MOD: 14,
  GROUP_MOD: 15,
  MULTIPART_REQUEST: 18,
  BARRIER_REQUEST: 20,
};
/** What a switch that has just come has none of, by the type of the multipart. */
const EMPTY = { 1: "OFPMP_FLOW", 7: "OFPMP_GROUP_DESC" };
const DEST_TABLE = 1;
const HOST_PRIORITY = 10;

/** A connected graph: a ring, then chords chosen by the seed; no two cables join the same two switches. */
export function randomGraph(switches, links, seed = 1) {
  let state = seed;
  const random = (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const pairs = new Map();
  const join = (a, b) => pairs.set(a < b ? `${a}-${b}` : `${b}-${a}`, [a, b]);
  for (let i = 0; i < switches; i++) join(i, (i + 1) % switches);
  while (pairs.size < links) {
    const [a, b] = [random(switches), random(switches)];
    if (a !== b) join(a, b);
  }
  return [...pairs.values()];
}

export class EmulatedNetwork {
  /** Group-mods received, and when the last came. */
  groupMods = 0;
  lastGroupModAt = 0;
  flowMods = 0;
  packetOuts = 0;
  barriers = 0;
  #switches;
  /** "switch:port" to the other end. */
  #cables = new Map();
  #dead = new Set();
  /** Since `remember`: what the switches had then, and each change with its time. */
  #past;

  /** Port 1 of each switch is its host's, the others are numbered as the links come. */
  constructor(switches, links) {
    this.#switches = Array.from({ length: switches }, (_, i) => ({
      dpid: i + 1,
      ports: 1,
      socket: undefined,
      rest: Buffer.alloc(0),
      groups: new Map(),
      hosts: new Map(),
    }));
    this.cables = links.map(([a, b]) => {
      const cable = { a, aPort: ++this.#switches[a].ports, b, bPort: ++this.#switches[b].ports };
      this.#cables.set(`${a}:${cable.aPort}`, { at: b, port: cable.bPort, from: a });
      this.#cables.set(`${b}:${cable.bPort}`, { at: a, port: cable.aPort, from: b });
      return cable;
    });
  }

  async connect(port) {
    await Promise.all(
      this.#switches.map(async (sw, index) => {
        sw.socket = connect({ port, host: "127.0.0.1", noDelay: true });
        sw.socket.on("error", () => {});
        sw.socket.on("data", (chunk) => this.#onData(sw, index, chunk));
        await once(sw.socket, "connect");
        sw.socket.write(encode({ type: "OFPT_HELLO" }));
      }),
    );
  }

  close() {
    for (const { socket } of this.#switches) socket?.destroy();
  }

  /** The host of switch `from` sends a frame to that of `to`; to all without one. */
  say(from, to) {
    const frame = Buffer.alloc(60);
    if (to === undefined) frame.fill(0xff, 0, 6);
    else hostMac(to).copy(frame, 0);
    hostMac(from).copy(frame, 6);
    frame.writeUInt16BE(0x88b5, 12);
    this.#packetIn(this.#switches[from], 1, frame);
  }

  /** Both ends of a cable go down or up; both switches say so. */
  setCable({ a, aPort, b, bPort }, isUp) {
    for (const [index, port] of [
      [a, aPort],
      [b, bPort],
    ]) {
      const key = `${index}:${port}`;
      if (isUp) this.#dead.delete(key);
      else this.#dead.add(key);
      const message = { type: "OFPT_PORT_STATUS", reason: "OFPPR_MODIFY", desc: portDesc(index, port, isUp) };
      this.#switches[index].socket.write(encode(message));
    }
  }

  /** Whether the switches lead a frame from one host to another, whichever of equal paths it takes. None goes back by the
   *  port by which it came (OpenFlow 1.3.5 §4.5). */
  reaches(from, to) {
    const mac = hostMac(to).toString("hex");
    const seen = new Set();
    const visit = (index, inPort, depth) => {
      if (index === to) return true;
      if (depth > this.#switches.length) return false;
      const sw = this.#switches[index];
      const group = sw.groups.get(sw.hosts.get(mac));
      if (!group) return false;
      const live = group.ports.filter((port) => !this.#dead.has(`${index}:${port}`));
      const used = group.type === "OFPGT_FF" ? live.slice(0, 1) : live;
      if (used.length === 0 || used.includes(inPort)) return false;
      if (seen.has(index)) return true;
      seen.add(index);
      return used.every((port) => {
        const end = this.#cables.get(`${index}:${port}`);
        return visit(end.at, end.port, depth + 1);
      });
    };
    return visit(from, undefined, 0);
  }

  /** From now on, changes of switches are kept, for `reachedAt`. To follow paths meanwhile would keep answers back. */
  remember() {
    const had = this.#switches.map(({ groups, hosts }) => ({
      groups: new Map(groups),
      hosts: new Map(hosts),
    }));
    this.#past = { had, changes: [] };
  }

  /** When all pairs reached each other again, of those that lost each other since `remember`; undefined if none did. The
   *  changes are gone through once more, with the cables that are dead now. */
  reachedAt(pairs) {
    const { had, changes } = this.#past;
    this.#past = undefined;
    for (const [i, sw] of this.#switches.entries()) Object.assign(sw, had[i]);
    const lost = (some) => some.filter(([a, b]) => !this.reaches(a, b));
    let broken = lost(pairs);
    let last;
    for (const { at, change } of changes) {
      change();
      if (broken.length === 0) continue;
      broken = lost(broken);
      if (broken.length > 0) continue;
      last = at;
      broken = lost(pairs);
    }
    return last;
  }

  #change(change) {
    change();
    this.#past?.changes.push({ at: performance.now(), change });
  }

  /** The first way from one host to another, as far as it goes. */
  explain(from, to) {
    const steps = [];
    for (let index = from; index !== to && steps.length < 20; ) {
      const sw = this.#switches[index];
      const group = sw.groups.get(sw.hosts.get(hostMac(to).toString("hex")));
      const live = group?.ports.filter((port) => !this.#dead.has(`${index}:${port}`)) ?? [];
      steps.push(`${index} ${group?.type ?? "without a way"} ${group?.ports ?? ""}`);
      if (live.length === 0) break;
      index = this.#cables.get(`${index}:${live[0]}`).at;
    }
    return steps.join(" > ");
  }

  #onData(sw, index, chunk) {
    const bytes = sw.rest.length === 0 ? chunk : Buffer.concat([sw.rest, chunk]);
    let at = 0;
    while (at + 8 <= bytes.length) {
      const length = bytes.readUInt16BE(at + 2);
      if (at + length > bytes.length) break;
      this.#onMessage(sw, index, bytes.subarray(at, at + length));
      at += length;
    }
    sw.rest = bytes.subarray(at);
  }

  #onMessage(sw, index, bytes) {
    const type = bytes[1];
    if (type === TYPE.PACKET_OUT) this.#packetOut(index, bytes);
    else if (type === TYPE.GROUP_MOD) {
      this.groupMods++;
      this.lastGroupModAt = performance.now();
      const { command, group_id, group_type, buckets } = decode(bytes);
      if (command === "OFPGC_DELETE") this.#change(() => sw.groups.delete(group_id));
      else {
        const ports = buckets.flatMap(({ actions }) => actions.map(({ port }) => port));
        this.#change(() => sw.groups.set(group_id, { type: group_type, ports }));
      }
    } else if (type === TYPE.FLOW_MOD) {
      this.flowMods++;
      const { command, table_id, priority, match, instructions } = decode(bytes);
      if (table_id !== DEST_TABLE || priority !== HOST_PRIORITY || command !== "OFPFC_ADD") return;
      const mac = match.eth_dst.replaceAll(":", "");
      const { group_id } = instructions[0].actions[0];
      this.#change(() => sw.hosts.set(mac, group_id));
    } else this.#answer(sw, index, type, bytes);
  }

  /** By a port: to the far end of its cable. */
  #packetOut(index, bytes) {
    this.packetOuts++;
    const actionsLength = bytes.readUInt16BE(16);
    if (actionsLength !== 16) return;
    const out = `${index}:${bytes.readUInt32BE(28)}`;
    const end = this.#cables.get(out);
    if (end && !this.#dead.has(out)) this.#packetIn(this.#switches[end.at], end.port, bytes.subarray(40));
  }

  #packetIn(sw, port, frame) {
    const bytes = Buffer.alloc(42 + frame.length);
    bytes.writeUInt8(4, 0);
    bytes.writeUInt8(10, 1);
    bytes.writeUInt16BE(bytes.length, 2);
    bytes.writeUInt32BE(0xffffffff, 8);
    bytes.writeUInt16BE(frame.length, 12);
    bytes.writeUInt16BE(1, 24);
    bytes.writeUInt16BE(12, 26);
    bytes.writeUInt32BE(0x80000004, 28);
    bytes.writeUInt32BE(port, 32);
    frame.copy(bytes, 42);
    sw.socket.write(bytes);
  }

  #answer(sw, index, type, bytes) {
    const xid = bytes.readUInt32BE(4);
    const reply = (message) => sw.socket.write(encode({ ...message, xid }));
    if (type === TYPE.ECHO_REQUEST) {
      const echo = Buffer.from(bytes);
      echo[1] = TYPE.ECHO_REPLY;
      sw.socket.write(echo);
    } else if (type === TYPE.FEATURES_REQUEST) {
      const features = { n_buffers: 0, n_tables: 254, auxiliary_id: 0, capabilities: 0 };
      reply({ type: "OFPT_FEATURES_REPLY", datapath_id: BigInt(sw.dpid), ...features });
    } else if (type === TYPE.BARRIER_REQUEST && ++this.barriers) reply({ type: "OFPT_BARRIER_REPLY" });
    else if (type === TYPE.MULTIPART_REQUEST && bytes.readUInt16BE(8) in EMPTY) {
      reply({ type: "OFPT_MULTIPART_REPLY", body: { type: EMPTY[bytes.readUInt16BE(8)], entries: [] } });
    } else if (type === TYPE.MULTIPART_REQUEST && bytes.readUInt16BE(8) === 13) {
      const entries = Array.from({ length: sw.ports }, (_, i) => portDesc(index, i + 1, true));
      reply({ type: "OFPT_MULTIPART_REPLY", body: { type: "OFPMP_PORT_DESC", entries } });
    }
  }
}

const hostMac = (index) => Buffer.from([0x02, 0, 0, 0, index >> 8, index & 0xff]);

const portDesc = (index, port_no, isUp) => ({
  port_no,
  hw_addr: `06:00:${hex(index >> 8)}:${hex(index & 0xff)}:00:${hex(port_no)}`,
  name: `p${port_no}`,
  state: isUp ? 4 : 1,
});
const hex = (byte) => byte.toString(16).padStart(2, "0");
