// An OpenFlow 1.3 switch's side of a connection, as small as it can be, for loading a controller: it must cost less
// than what it measures, so messages are made once and counted by their headers alone.
import { once } from "node:events";
import { connect } from "node:net";

const TYPE = {
  HELLO: 0,
  ECHO_REQUEST: 2,
  ECHO_REPLY: 3,
  FEATURES_REQUEST: 5,
  FEATURES_REPLY: 6,
  GET_CONFIG_REQUEST: 7,
  GET_CONFIG_REPLY: 8,
  PACKET_IN: 10,
  PACKET_OUT: 13,
  FLOW_MOD: 14,
  MULTIPART_REQUEST: 18,
  MULTIPART_REPLY: 19,
  BARRIER_REQUEST: 20,
  BARRIER_REPLY: 21,
};
const OFPMP_PORT_DESC = 13;
const PORTS = 16;
const HOSTS = 100;
/** Bytes of packet-ins kept waiting to be sent, so that the controller always has the next to read. */
const AHEAD = 128 * 1024;

function message(type, xid, body = Buffer.alloc(0)) {
  const head = Buffer.alloc(8);
  head.writeUInt8(4, 0);
  head.writeUInt8(type, 1);
  head.writeUInt16BE(8 + body.length, 2);
  head.writeUInt32BE(xid, 4);
  return Buffer.concat([head, body]);
}

function features(dpid) {
  const body = Buffer.alloc(24);
  body.writeBigUInt64BE(BigInt(dpid), 0);
  body.writeUInt8(254, 12);
  return body;
}

function portDesc() {
  const body = Buffer.alloc(8 + PORTS * 64);
  body.writeUInt16BE(OFPMP_PORT_DESC, 0);
  for (let i = 0; i < PORTS; i++) {
    const at = 8 + i * 64;
    body.writeUInt32BE(i + 1, at);
    body.writeUInt32BE(0x02000000, at + 8);
    body.writeUInt8(i + 1, at + 13);
    body.write(`p${i + 1}`, at + 16);
  }
  return body;
}

/** A packet-in of a 60-byte frame from host `src` to host `dst` (undefined: to everybody), not buffered. */
function packetIn(src, dst) {
  const body = Buffer.alloc(16 + 16 + 2 + 60);
  body.writeUInt32BE(0xffffffff, 0);
  body.writeUInt16BE(60, 4);
  body.writeUInt16BE(1, 16); // OFPMT_OXM
  body.writeUInt16BE(12, 18);
  body.writeUInt32BE(0x80000004, 20); // in_port
  body.writeUInt32BE(portOf(src), 24);
  const frame = 34;
  if (dst === undefined) body.fill(0xff, frame, frame + 6);
  else hostAddress(dst).copy(body, frame);
  hostAddress(src).copy(body, frame + 6);
  body.writeUInt16BE(0x88b5, frame + 12);
  return message(TYPE.PACKET_IN, 0, body);
}

const portOf = (host) => 1 + (host % PORTS);
const hostAddress = (host) => Buffer.from([0x02, 0, 0, 0, 1, host]);

/** Every host in turn to ten others at other ports. */
const talk = Array.from({ length: 10 * HOSTS }, (_, i) => [
  i % HOSTS,
  (i * 7 + 1 + Math.floor(i / HOSTS)) % HOSTS,
])
  .filter(([src, dst]) => portOf(src) !== portOf(dst))
  .map(([src, dst]) => packetIn(src, dst));
const everyHostTalks = Buffer.concat(talk);
const everyHostSpeaksUp = Buffer.concat(Array.from({ length: HOSTS }, (_, i) => packetIn(i, undefined)));

export class EmulatedSwitch {
  /** Packet-outs received: the answers to packet-ins. */
  packetOuts = 0;
  flowMods = 0;
  /** Microseconds from packet-in to packet-out, while `ask` and `askOne` are used. */
  latencies = [];
  /** When each packet-in that waits for its answer was sent. */
  #asked = [];
  #next = 0;
  #isAsking = false;
  #socket;
  #dpid;
  #rest = Buffer.alloc(0);
  #isLoading = false;
  #isReady;
  #ready;

  constructor(socket, dpid) {
    this.#socket = socket;
    this.#dpid = dpid;
    this.#ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("drain", () => this.#load());
    socket.on("error", () => {});
    socket.write(message(TYPE.HELLO, 1));
  }

  /** Resolves a little after the handshake, when the controller has set the switch up. */
  static async connect(port, dpid) {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, highWaterMark: AHEAD });
    await once(socket, "connect");
    const self = new EmulatedSwitch(socket, dpid);
    await self.#ready;
    return self;
  }

  /** All hosts speak up, so that the controller knows them; resolves when each has been answered. */
  async introduceHosts() {
    const wanted = this.packetOuts + HOSTS;
    this.#socket.write(everyHostSpeaksUp);
    while (this.packetOuts < wanted) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** cbench's latency mode: one packet-in after the answer to the one before, until `stop`. */
  startAsking() {
    this.#isAsking = true;
    this.ask();
  }

  /** One packet-in, whose answer is timed. */
  ask() {
    this.#asked.push(performance.now());
    this.#socket.write(talk[this.#next++ % talk.length]);
  }

  get unanswered() {
    return this.#asked.length;
  }

  /** Sends packet-ins as fast as they are read, until `stop`. */
  start() {
    this.#isLoading = true;
    this.#load();
  }

  stop() {
    this.#isLoading = false;
    this.#isAsking = false;
  }

  close() {
    this.#socket.destroy();
  }

  #load() {
    while (this.#isLoading && this.#socket.writableLength < AHEAD) this.#socket.write(everyHostTalks);
  }

  #onData(chunk) {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + 8 <= bytes.length) {
      const length = bytes.readUInt16BE(at + 2);
      if (at + length > bytes.length) break;
      const type = bytes[at + 1];
      if (type === TYPE.PACKET_OUT) this.#onPacketOut();
      else if (type === TYPE.FLOW_MOD) this.flowMods++;
      else this.#answer(type, bytes.readUInt32BE(at + 4), bytes.subarray(at + 8, at + length));
      at += length;
    }
    this.#rest = bytes.subarray(at);
  }

  #onPacketOut() {
    this.packetOuts++;
    const asked = this.#asked.shift();
    if (asked === undefined) return;
    this.latencies.push((performance.now() - asked) * 1000);
    if (this.#isAsking) this.ask();
  }

  #answer(type, xid, body) {
    const reply = (replyType, replyBody) => this.#socket.write(message(replyType, xid, replyBody));
    if (type === TYPE.ECHO_REQUEST) reply(TYPE.ECHO_REPLY, Buffer.from(body));
    else if (type === TYPE.FEATURES_REQUEST) {
      reply(TYPE.FEATURES_REPLY, features(this.#dpid));
      setTimeout(this.#isReady, 500);
    } else if (type === TYPE.GET_CONFIG_REQUEST) reply(TYPE.GET_CONFIG_REPLY, Buffer.from([0, 0, 0, 128]));
    else if (type === TYPE.BARRIER_REQUEST) reply(TYPE.BARRIER_REPLY);
    else if (type === TYPE.MULTIPART_REQUEST && body.readUInt16BE(0) === OFPMP_PORT_DESC) {
      reply(TYPE.MULTIPART_REPLY, portDesc());
    }
  }
}
