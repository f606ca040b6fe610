/** A pcap file of one TCP connection to port 6653 on which the messages pass, long ones in several segments. */
export function captureOf(messages: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262_144, 16);
  header.writeUInt32LE(1, 20);
  const parts: Uint8Array[] = [header];
  let sequence = 1;
  let microseconds = 0;
  for (const message of messages) {
    for (let at = 0; at < message.length; at += MAX_SEGMENT) {
      const payload = message.subarray(at, at + MAX_SEGMENT);
      const frame = segment(payload, sequence);
      const record = Buffer.alloc(16);
      record.writeUInt32LE(1000, 0);
      record.writeUInt32LE(microseconds++, 4);
      record.writeUInt32LE(frame.length, 8);
      record.writeUInt32LE(frame.length, 12);
      parts.push(record, frame);
      sequence += payload.length;
    }
  }
  return Uint8Array.from(Buffer.concat(parts));
}

const MAX_SEGMENT = 30_000;

/** Ethernet, IPv4 and TCP headers before a payload. Checksums are left 0, as offloads leave them. */
function segment(payload: Uint8Array, sequence: number): Uint8Array {
  const frame = Buffer.alloc(54 + payload.length);
  frame.write("0000000000010000000000020800", "hex");
  frame.write(`4500${(40 + payload.length).toString(16).padStart(4, "0")}0000000040060000`, 14, "hex");
  frame.write("0a0000010a000002", 26, "hex");
  frame.writeUInt16BE(40_000, 34);
  frame.writeUInt16BE(6653, 36);
  frame.writeUInt32BE(sequence, 38);
  frame.writeUInt32BE(1, 42);
  frame.write("5018ffff00000000", 46, "hex");
  frame.set(payload, 54);
  return frame;
}
