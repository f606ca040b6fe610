import type { Match } from "../v13/match.js";
import type { MessageOf } from "../v13/messages.js";
import { OFP_NO_BUFFER } from "../v13/numbers.js";
import { PACKET_IN_REASONS } from "./action-names.js";
import { formatMatch } from "./match-format.js";
import type { PortNames } from "./ports.js";
import { hexText } from "./scan.js";

/** Packet-ins in the NXT_PACKET_IN2 format, which are made of properties, as ovs-ofctl prints them. */

type Property = MessageOf<"NXT_PACKET_IN2">["properties"][number];
type Of<T> = Extract<Property, { type: T }>;

export function formatPacketIn2(
  properties: readonly Property[],
  options: PortNames & { readonly packet?: (frame: Uint8Array) => string },
): string {
  const find = <T extends string>(type: T): Of<T> | undefined =>
    properties.find((property) => property.type === type) as Of<T> | undefined;
  const packet = find("NXPINT_PACKET")?.packet ?? new Uint8Array(0);
  const total = find("NXPINT_FULL_LEN")?.full_len ?? packet.length;
  const tableId = find("NXPINT_TABLE_ID")?.table_id ?? 0;
  const cookie = find("NXPINT_COOKIE")?.cookie;
  const reason = find("NXPINT_REASON")?.reason ?? 0;
  const buffer = find("NXPINT_BUFFER_ID")?.buffer_id ?? OFP_NO_BUFFER;
  const userdata = find("NXPINT_USERDATA")?.userdata;
  const continuation = find("NXPINT_CONTINUATION")?.continuation;
  const table = tableId === 0 ? "" : ` table_id=${tableId}`;
  const cookieText = cookie === undefined ? "" : ` cookie=${hexText(cookie)}`;
  const match = formatMatch((find("NXPINT_METADATA")?.metadata ?? {}) as Match, options);
  const held =
    buffer === OFP_NO_BUFFER ? " (unbuffered)" : ` buffer=0x${buffer.toString(16).padStart(8, "0")}`;
  const cut = total < packet.length ? " (***total_len < data_len***)" : "";
  const head = `${table}${cookieText} total_len=${total} ${match} (via ${PACKET_IN_REASONS[reason] ?? reason}) data_len=${packet.length}${held}${cut}\n`;
  const more = [
    userdata && ` userdata=${dotted(userdata)}\n`,
    continuation && ` continuation.${dotted(continuation)}\n`,
  ];
  return head + more.filter((part) => part).join("") + (options.packet?.(packet) ?? "");
}

const dotted = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(".");
