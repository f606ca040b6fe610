import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode, experimenterErrors, formatMessage } from "@sluice/openflow-codec";
import { fromHex, toHex, writeIpv6 } from "@sluice/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { captureOf } from "../support/codec/capture.js";
import { type Leaf, leavesOf } from "../support/codec/leaves.js";
import { compareWithOsKen, osKenParses } from "../support/codec/os-ken.js";
import { type Dissected, type Dissection, dissect } from "../support/codec/tshark.js";
import { check, SLUICE } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { allFixtures } from "../unit/codec-fixtures.js";

/** The fixtures in one capture, read by us, by tshark's dissector and by os-ken's parser: the same values in the same
 *  places. What a peer does not take apart is told of by name. */

// tshark has a dissector of its own for other versions. Neither it nor os-ken gives an experimenter's field in a list of
// fields its 8 bytes, so what follows is lost to them.
const fixtures = allFixtures().filter(
  ({ bytes, name }) => bytes[0] === 4 && name !== "asked for its tables' features; the first",
);

describeWith({ programs: ["tshark", "osken-manager"] }, "the codec beside", () => {
  let folder: string;
  let capture: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-dissect-"));
    capture = join(folder, "fixtures.pcap");
    writeFileSync(capture, captureOf(fixtures.map(({ bytes }) => bytes)));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("tshark: every field that it finds is where ours is, with its value", async () => {
    const dissections = await dissect(capture);
    expect(dissections).toHaveLength(fixtures.length);
    const different: string[] = [];
    const missing: string[] = [];
    let compared = 0;
    fixtures.forEach(({ file, name, bytes }, i) => {
      for (const leaf of leavesOf(bytes, decode(bytes))) {
        const found = fieldAt(dissections[i]!, leaf);
        const what = `${file} ${name}: ${leaf.path} ${leaf.name}`;
        if (found !== undefined) {
          compared++;
          if (!shows(found, leaf))
            different.push(`${what} is ${String(leaf.value)}, tshark has ${found.show}`);
        } else if (!isLeftByTshark(dissections[i]!, leaf)) missing.push(what);
      }
    });
    expect(different).toEqual([]);
    expect(missing).toEqual([]);
    expect(compared).toBeGreaterThan(14_000);
  });

  test("os-ken: every member that it parses has our value", async () => {
    const theirs = await osKenParses(fixtures.map(({ bytes }) => bytes));
    expect(theirs).toHaveLength(fixtures.length);
    const different: string[] = [];
    const alone = new Set<string>();
    let compared = 0;
    fixtures.forEach(({ file, name, bytes }, i) => {
      const parsed = theirs[i];
      if (parsed === null || parsed === undefined) return;
      const comparison = compareWithOsKen(decode(bytes), parsed);
      compared += comparison.compared;
      for (const member of comparison.alone) alone.add(member);
      // It stops at the first element that it does not know.
      if (name === "hello with an element of a later version") return;
      different.push(...comparison.differences.map((difference) => `${file} ${name}: ${difference}`));
    });
    expect(different).toEqual([]);
    expect([...alone].filter((member) => !OS_KEN_ALONE.test(member))).toEqual([]);
    expect(compared).toBeGreaterThan(8_000);
  });

  test("sluice ofctl decode --pcap gives every message of the capture, in order", async () => {
    const output = await check([process.execPath, SLUICE, "ofctl", "decode", "--pcap", capture]);
    const documents = output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(documents).toHaveLength(fixtures.length);
    fixtures.forEach(({ name, json }, i) => {
      expect(documents[i], name).toMatchObject({
        src: "10.0.0.1:40000",
        dst: "10.0.0.2:6653",
        ...(json as object),
      });
    });
  });
});

describeWith({ programs: ["ovs-ofctl"] }, "experimenters' errors", () => {
  test("have the names that ovs-ofctl gives them, and the request after them", async () => {
    const errors = Object.entries(experimenterErrors).flatMap(([experimenter, codes]) =>
      Object.values(codes).map((error_code) => {
        const data = fromHex(`${Number(experimenter).toString(16).padStart(8, "0")}0414000800000001`);
        return encode({ type: "OFPT_ERROR", xid: 1, error_type: "OFPET_EXPERIMENTER", error_code, data });
      }),
    );
    expect(errors.length).toBeGreaterThan(50);
    const printed = await check(["ovs-ofctl", "ofp-parse", "-"], { input: Buffer.concat(errors) });
    expect(errors.map((bytes) => `${formatMessage(decode(bytes)).trimEnd()}\n`).join("")).toBe(printed);
  });
});

/** Lengths and numbers of types, which are no members of ours; what os-ken keeps as bytes; and what it has in a form
 *  of its own. */
const OS_KEN_ALONE = new RegExp(
  [
    "\\.(len|length|subtype|experimenter|property|n_slaves)$",
    "^(OFPExperimenter|OFPExperimenterStatsReply|NXTPacketIn2|NXTSetPacketInFormatMsg|ONFBundleCtrlMsg)$",
    "^OFPOxmId\\.(hasmask|type)$",
    "^OFPPropUnknown\\.buf$",
    "^OFPHelloElemVersionBitmap\\.versions$",
    "^OFPGroupFeaturesStats\\.(max_groups|actions)\\[\\]$",
    "^NXActionStack(Push|Pop)\\.end$",
    "^NXActionController2\\.(pause|userdata)$",
    "^OFPActionExperimenterUnknown\\.data$",
    "^NXAction(BundleLoad\\.dst|CT\\.zone_src|EncapEther\\.new_pkt_type|Learn\\.specs|Unknown\\.data)$",
  ].join("|"),
);

/** The field of tshark's with the same bytes. The two parts of an OXM header's third byte go by their names. */
const fieldAt = ({ fields }: Dissection, { name, at, size }: Leaf): Dissected | undefined =>
  fields.find(
    (field) => field.at === at && field.size === size && (!name.startsWith("oxm.") || field.name === name),
  );

function isLeftByTshark({ blobs }: Dissection, { name, path, at, size, value }: Leaf): boolean {
  return (
    size === 0 ||
    blobs.some(([start, end]) => start <= at && at + size <= end) ||
    // It hands packets, and messages within errors, to other dissectors,
    (name === "data" && value instanceof Uint8Array) ||
    // shows a VLAN as its two parts,
    path.endsWith(".vlan_vid") ||
    // and an experimenter's field and its mask as one.
    /\.(tun_erspan_|tun_gtpu_|nsh_|tcp_flags$)/.test(path)
  );
}

/** Fields that tshark shows as bytes whatever they are. */
const SHOWN_AS_BYTES =
  /^(oxm|oxm_experimenter)\.(value|mask)$|^(table_features|tablemod)\.config$|^hello_element\.version\.bitmap$/;

function shows({ name, show }: Dissected, { value, size }: Leaf): boolean {
  // An error's data that is text in most versions of most programs.
  if (name === "error.data" && value instanceof Uint8Array)
    return Buffer.from(value).toString("latin1").startsWith(unescaped(show));
  if (SHOWN_AS_BYTES.test(name)) return show.replaceAll(":", "") === hexOf(value, size);
  if (typeof value === "number" || typeof value === "bigint")
    return /^(0x[0-9a-f]+|\d+)$/.test(show) && BigInt(show) === BigInt(value);
  if (typeof value === "string") return show === value;
  // It reads a number where we keep bytes.
  if (show.startsWith("0x")) return BigInt(show) === BigInt(`0x${toHex(value)}`);
  return show.replaceAll(":", "") === toHex(value);
}

/** Text up to the first NUL, with C's escapes. */
const unescaped = (show: string): string =>
  show.replace(/\\x([0-9a-f]{1,2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

function hexOf(value: Leaf["value"], size: number): string {
  if (typeof value === "number" || typeof value === "bigint")
    return value.toString(16).padStart(size * 2, "0");
  if (typeof value !== "string") return toHex(value);
  if (size === 6) return value.replaceAll(":", "");
  // Values of fields that no declaration names are hex digits.
  if (/^[0-9a-f]+$/.test(value)) return value;
  const bytes = new Uint8Array(16);
  writeIpv6(bytes, 0, value);
  return toHex(bytes);
}
