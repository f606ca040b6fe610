import { decode, decoderWith, encode, type OxmField, oxmField, oxmFields } from "@sluice/openflow-codec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkInstructions } from "./check.js";
import { parseMatch } from "./match.js";
import type { FlowMod, Instruction } from "./of.js";
import { KeyedMatch, MatchReader } from "./wire-match.js";

const reader = new MatchReader();
const decodeKeyed = decoderWith((bytes, at, end) => reader.read(bytes, at, end));

/** Instructions that ask something of the match. */
const ASKING: readonly Instruction[][] = [
  { type: "OFPAT_POP_VLAN" } as const,
  { type: "OFPAT_DEC_NW_TTL" } as const,
  { type: "OFPAT_DEC_MPLS_TTL" } as const,
  { type: "OFPAT_POP_PBB" } as const,
  { type: "OFPAT_SET_FIELD", field: { tcp_dst: 1 } } as const,
  { type: "OFPAT_SET_FIELD", field: { arp_op: 1 } } as const,
  { type: "OFPAT_SET_FIELD", field: { vlan_pcp: 1 } } as const,
  { type: "OFPAT_SET_FIELD", field: { icmpv4_type: 1 } } as const,
  { type: "OFPAT_SET_FIELD", field: { ipv6_nd_target: "::1" } } as const,
  { type: "OFPAT_SET_FIELD", field: { ipv6_nd_tll: "00:00:00:00:00:01" } } as const,
].map((action) => [{ type: "OFPIT_APPLY_ACTIONS", actions: [action] }]);
const CONTEXT = { hasGroup: () => false, hasMeter: () => false, tables: 254 };

const outcome = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    const { error_type, error_code, message } = error as Error & { error_type: string; error_code: string };
    return { error_type, error_code, message };
  }
};

/** What comes of a flow_mod: its fields, key and mask, and which actions it may have; or the error. */
const meaning = (decoded: () => { type: string }): unknown =>
  outcome(() => {
    const { match = {}, ...rest } = decoded() as { type: string } & FlowMod;
    const { key, mask } = parseMatch(match);
    const checks = ASKING.map((asking) =>
      outcome(() => checkInstructions(match, 0, asking, CONTEXT) && "fine"),
    );
    return { rest, key: [...key], mask: [...mask], checks };
  });

/** A flow_mod around OXM fields. */
function flowMod(oxms: Uint8Array): Uint8Array {
  const empty = encode({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", xid: 7, cookie: 5n });
  const head = empty.length - 8;
  const bytes = new Uint8Array(head + ((4 + oxms.length + 7) & ~7));
  bytes.set(empty.subarray(0, head + 2));
  const view = new DataView(bytes.buffer);
  view.setUint16(2, bytes.length);
  view.setUint16(head + 2, 4 + oxms.length);
  bytes.set(oxms, head + 4);
  return bytes;
}

function oxm(
  { class: oxmClass, field, bytes, bits }: OxmField,
  value: Uint8Array,
  mask?: Uint8Array,
): Uint8Array {
  const out = new Uint8Array(4 + bytes * (mask ? 2 : 1));
  out.set([oxmClass >> 8, oxmClass & 255, (field << 1) | (mask ? 1 : 0), out.length - 4]);
  const spare = bytes * 8 - bits;
  for (let i = 0; i < bytes; i++) {
    const ones = i === 0 && spare < 8 ? 0xff >> spare : 8 * (i + 1) <= spare ? 0 : 0xff;
    const kept = mask ? mask[i]! & ones : ones;
    out[4 + i] = value[i]! & kept;
    if (mask) out[4 + bytes + i] = kept;
  }
  return out;
}

const row = (name: string): OxmField => oxmField(name)!;
const rows = oxmFields.filter((field) => field.experimenter === undefined && field.variable === undefined);
const bytesOf = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** What a field asks for, the widest first: eth_type before ip_proto. */
function withNeeds(field: OxmField, choice: number): Uint8Array[] {
  return Object.entries(field.prerequisites)
    .reverse()
    .flatMap(([name, allowed]) => {
      const needed = row(name);
      const number = allowed.length > 0 ? allowed[choice % allowed.length]! : 0x1001;
      const value = new Uint8Array(needed.bytes);
      value.set(
        bytesOf(number >> 8, number & 255).subarray(needed.bytes === 1 ? 1 : 0),
        Math.max(0, needed.bytes - 2),
      );
      return [...withNeeds(needed, choice), oxm(needed, value)];
    });
}

const part = fc
  .record({
    field: fc.constantFrom(...rows),
    value: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    mask: fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 }), { nil: undefined }),
    hasNeeds: fc.boolean(),
    choice: fc.nat(1),
  })
  .map(({ field, value, mask, hasNeeds, choice }) => [
    ...(hasNeeds ? withNeeds(field, choice) : []),
    oxm(field, value, mask),
  ]);
/** Each header once, most of the time, so that what follows a prerequisite is got to. */
const once = (list: Uint8Array[]): Uint8Array[] => {
  const seen = new Set<number>();
  return list.filter((one) => {
    const id = (one[0]! << 16) | (one[1]! << 8) | one[2]!;
    return !seen.has(id) && seen.add(id);
  });
};
const oxms = fc
  .tuple(fc.array(part, { maxLength: 4 }), fc.integer({ min: 0, max: 9 }))
  .map(([parts, dice]) => Buffer.concat(dice === 0 ? parts.flat() : once(parts.flat())));

describe("a match from the wire is what decoding and parsing make of it, errors too:", () => {
  test("random ones", () => {
    let keyed = 0;
    fc.assert(
      fc.property(oxms, (bytes) => {
        const message = flowMod(bytes);
        const plain = meaning(() => decode(message));
        expect(meaning(() => decodeKeyed(message))).toEqual(plain);
        const read = outcome(() => decodeKeyed(message)) as { match?: unknown };
        if (read.match instanceof KeyedMatch) keyed++;
      }),
      // vlan_vid 1 under a mask of ones, without OFPVID_PRESENT: no packet has it.
      { numRuns: 4000, examples: [[Buffer.from([0x80, 0, 13, 4, 0, 1, 0x1f, 0xff])]] },
    );
    expect(keyed).toBeGreaterThan(400);
  });

  test("damaged ones", () => {
    fc.assert(
      fc.property(oxms, fc.nat(), fc.nat(255), (bytes, at, value) => {
        if (bytes.length > 0) bytes[at % bytes.length] = value;
        const message = flowMod(bytes);
        expect(meaning(() => decodeKeyed(message))).toEqual(meaning(() => decode(message)));
      }),
      { numRuns: 4000 },
    );
  });

  const inTurn: Readonly<Record<string, readonly (readonly [field: string, value: number])[]>> = {
    "a prerequisite that another field's bits only look like": [
      ["eth_type", 0x0806],
      ["arp_op", 0x0600],
      ["tcp_src", 1],
    ],
    "a prerequisite that comes after": [
      ["tcp_src", 1],
      ["ip_proto", 6],
      ["eth_type", 0x0800],
    ],
    "a field twice": [
      ["in_port", 1],
      ["in_port", 1],
    ],
    "fields in one place": [
      ["in_port", 1],
      ["in_phy_port", 1],
    ],
  };
  test.each(Object.entries(inTurn))("%s", (_what, fields) => {
    const bytes = fields.map(([name, number]) => {
      const value = new Uint8Array(row(name).bytes);
      for (let i = value.length - 1, rest = number; i >= 0; i--, rest >>>= 8) value[i] = rest & 255;
      return oxm(row(name), value);
    });
    const message = flowMod(Buffer.concat(bytes));
    expect(meaning(() => decodeKeyed(message))).toEqual(meaning(() => decode(message)));
  });
});

test("every basic field of the switch is read so, but for those that need more than an exact value", () => {
  const left = rows
    .filter(({ className }) => className === "OFPXMC_OPENFLOW_BASIC")
    .filter((field) => {
      const message = flowMod(
        Buffer.concat(once([...withNeeds(field, 0), oxm(field, new Uint8Array(16).fill(0))])),
      );
      return !((decodeKeyed(message) as FlowMod).match instanceof KeyedMatch);
    });
  expect(left.map(({ name }) => name)).toEqual(["in_phy_port", "vlan_pcp", "packet_type"]);
});

test("flow_mods with the same instructions have the same object for them", () => {
  const bytes = (port: number): Uint8Array =>
    encode({
      type: "OFPT_FLOW_MOD",
      command: "OFPFC_ADD",
      instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port }] }],
    });
  const [first, second, other] = [1, 1, 2].map((port) => (decodeKeyed(bytes(port)) as FlowMod).instructions);
  expect(second).toBe(first);
  expect(other).toEqual((decode(bytes(2)) as FlowMod).instructions);
});
