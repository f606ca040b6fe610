import { type Frame, parseFrame } from "@sluice/wire";

/** A frame in one line for the log, as far as its first bytes tell: who to whom, and what. */
export function describeFrame(bytes: Uint8Array): string {
  const frame = parseFrame(bytes);
  if (frame.kind !== "ethernet") return `frame of ${bytes.length} bytes`;
  const vlan = frame.vlans.map(({ vid }) => ` vlan ${vid}`).join("");
  return `${frame.src} > ${frame.dst}${vlan}${describePayload(frame)}`;
}

function describePayload({ payload, eth_type }: Frame): string {
  if (payload instanceof Uint8Array || payload.kind === "malformed" || payload.kind === "lldp")
    return `, type 0x${eth_type.toString(16).padStart(4, "0")}`;
  if (payload.kind === "arp") return `, arp ${payload.op}: ${payload.spa} > ${payload.tpa}`;
  const above = payload.payload;
  const named = above instanceof Uint8Array || above.kind === "malformed" ? undefined : above;
  const what = named === undefined ? `protocol ${payload.proto}` : named.kind;
  const ports =
    named !== undefined && "dst_port" in named ? ` port ${named.src_port} > ${named.dst_port}` : "";
  return `, ${payload.src} > ${payload.dst} ${what}${ports}`;
}
