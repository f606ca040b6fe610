import type { OfMessageInit } from "@sluice/openflow-codec";

/** Agreeing on a version (OpenFlow 1.3.5 §6.3.1, §7.5.1). Read by hand: a HELLO crosses versions, and its unknown
 *  elements are to be passed over. */

const OFP_VERSION = 4;
const OFPT_HELLO = 0;
const OFPHET_VERSIONBITMAP = 1;
const ALLOWED = "this switch speaks OpenFlow 1.3 (version 4) only";

export const OUR_HELLO: OfMessageInit = {
  type: "OFPT_HELLO",
  elements: [{ type: "OFPHET_VERSIONBITMAP", bitmaps: [1 << OFP_VERSION] }],
};

export type HelloVerdict = { ok: true } | { ok: false; text: string; xid: number };

/** What the first message of a peer comes to. */
export function helloVerdict(bytes: Uint8Array): HelloVerdict {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const xid = view.getUint32(4);
  const [version, type] = [bytes[0]!, bytes[1]!];
  if (type !== OFPT_HELLO) {
    return { ok: false, xid, text: `received message type ${type} while expecting OFPT_HELLO; ${ALLOWED}` };
  }
  const bitmap = versionBitmap(view);
  // Without a bitmap the peer speaks its version and, it is taken, all before: the lower of the two is used.
  const speaksOurs = bitmap === undefined ? version >= OFP_VERSION : (bitmap & (1 << OFP_VERSION)) !== 0;
  if (speaksOurs) return { ok: true };
  const theirs = bitmap === undefined ? `version ${version} or earlier` : versionsOf(bitmap);
  return { ok: false, xid, text: `peer speaks ${theirs}; ${ALLOWED}` };
}

/** The first word of the versions bitmap (versions 0 to 31), undefined where the HELLO has none. */
function versionBitmap(view: DataView): number | undefined {
  for (let at = 8; at + 4 <= view.byteLength; ) {
    const length = view.getUint16(at + 2);
    if (length < 4) return undefined;
    if (view.getUint16(at) === OFPHET_VERSIONBITMAP && length >= 8 && at + 8 <= view.byteLength) {
      return view.getUint32(at + 4);
    }
    at += (length + 7) & ~7;
  }
  return undefined;
}

function versionsOf(bitmap: number): string {
  const versions = Array.from({ length: 32 }, (_, version) => version).filter(
    (v) => (bitmap & (1 << v)) !== 0,
  );
  return versions.length === 0 ? "no version" : `version ${versions.join(", ")}`;
}
