/** Agreeing on a version (OpenFlow 1.3.5 §6.3.1, §7.5.1). Read by hand, since a HELLO crosses versions and its
 *  unknown elements are to be passed over. */

const OFP_VERSION = 4;
const OFPT_HELLO = 0;
const OFPHET_VERSIONBITMAP = 1;

/** `theirs` says what the switch speaks instead, for people. */
export type HelloVerdict = { ok: true } | { ok: false; theirs: string };

const RELEASES = ["?", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];
const release = (version: number): string =>
  RELEASES[version] === undefined || version === 0 ? `version ${version}` : `OpenFlow ${RELEASES[version]}`;

/** What a switch's first message comes to. */
export function readHello(bytes: Uint8Array): HelloVerdict {
  const [version, type] = [bytes[0]!, bytes[1]!];
  if (type !== OFPT_HELLO) return { ok: false, theirs: `no OFPT_HELLO (its first message has type ${type})` };
  const bitmap = versionBitmap(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  // Without a bitmap the peer stands for its version and all before it: the lower of the two is used.
  if (bitmap === undefined) {
    return version >= OFP_VERSION ? { ok: true } : { ok: false, theirs: `only ${release(version)}` };
  }
  if ((bitmap & (1 << OFP_VERSION)) !== 0) return { ok: true };
  const spoken = Array.from({ length: 32 }, (_, v) => v).filter((v) => (bitmap & (1 << v)) !== 0);
  return {
    ok: false,
    theirs: spoken.length === 0 ? "no version at all" : `only ${spoken.map(release).join(", ")}`,
  };
}

/** What the first bytes of a peer are where they cannot be OpenFlow; its length field would have us wait for more. */
export function strangeStart(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0x16 && bytes[1] === 0x03)
    return "it speaks TLS, and this port takes plain OpenFlow (ptcp: where pssl: is meant?)";
  if (!isText(bytes[0]) || !isText(bytes[1])) return undefined;
  const end = bytes.findIndex((byte) => !isText(byte));
  const text = Buffer.from(bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, 40))).toString("latin1");
  return `no OpenFlow: it begins with "${text}"`;
}

const isText = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x20 && byte < 0x7f;

/** The first word of the versions bitmap (versions 0 to 31), undefined where there is none. */
function versionBitmap(view: DataView): number | undefined {
  for (let at = 8; at + 4 <= view.byteLength; ) {
    const length = view.getUint16(at + 2);
    if (length < 4) return undefined;
    const holdsWord = length >= 8 && at + 8 <= view.byteLength;
    if (view.getUint16(at) === OFPHET_VERSIONBITMAP && holdsWord) return view.getUint32(at + 4);
    at += (length + 7) & ~7;
  }
  return undefined;
}
