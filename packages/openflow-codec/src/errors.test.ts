import { fromHex } from "@sluice/wire";
import { expect, test } from "vitest";
import {
  checkMatch,
  decode,
  EncodeError,
  encode,
  errorFor,
  fromJson,
  OfDecodeError,
  ofErrors,
  toJson,
} from "./index.js";

const flow = (match: string, instructions = ""): Uint8Array => {
  const body = fromHex(match);
  const padded = new Uint8Array(Math.ceil((4 + body.length) / 8) * 8);
  padded.set([0, 1, 0, 4 + body.length]);
  padded.set(body, 4);
  const rest = fromHex(instructions);
  const bytes = new Uint8Array(48 + padded.length + rest.length);
  bytes.set([4, 14, bytes.length >> 8, bytes.length]);
  bytes.set(padded, 48);
  bytes.set(rest, 48 + padded.length);
  return bytes;
};

function refusal(bytes: Uint8Array): OfDecodeError {
  try {
    decode(bytes);
  } catch (error) {
    if (error instanceof OfDecodeError) return error;
    throw error;
  }
  throw new Error("decoded");
}

test.each([
  ["a match field of the wrong length", flow("80000003 000001"), "OFPBMC_BAD_LEN", "match.in_port", 52],
  ["a match field that goes over the end", flow("80000004 0001"), "OFPBMC_BAD_LEN", "match", 52],
  [
    "the same field twice",
    flow("80000004 00000001 80000004 00000001"),
    "OFPBMC_DUP_FIELD",
    "match.in_port",
    60,
  ],
  ["a mask on in_port", flow("80000108 00000001 ffffffff"), "OFPBMC_BAD_MASK", "match.in_port", 52],
  [
    "a value outside its mask",
    flow("80001708 0a000001 ff000000"),
    "OFPBMC_BAD_WILDCARDS",
    "match.ipv4_src",
    52,
  ],
  ["a VLAN PCP of 8", flow("80000e01 08"), "OFPBMC_BAD_VALUE", "match.vlan_pcp", 52],
  ["an unknown instruction", flow("", "00630008 00000000"), "OFPBIC_UNKNOWN_INST", "instructions[0]", 56],
  ["an instruction of length 0", flow("", "00010000 00000000"), "OFPBIC_BAD_LEN", "instructions[0]", 56],
  [
    "an instruction longer than the message",
    flow("", "00010010 00000000"),
    "OFPBIC_BAD_LEN",
    "instructions[0]",
    56,
  ],
  [
    "an action whose length is no multiple of 8",
    flow("", "00040018 00000000 0000000c 00000001 00000000 00000000"),
    "OFPBAC_BAD_LEN",
    "instructions[0].actions[0]",
    64,
  ],
  [
    "an unknown action",
    flow("", "00040010 00000000 00630008 00000000"),
    "OFPBAC_BAD_TYPE",
    "instructions[0].actions[0]",
    64,
  ],
  [
    "set-field with a field of the wrong length",
    flow("", "00040018 00000000 00190010 80000605 00000000 00000000"),
    "OFPBAC_BAD_SET_LEN",
    "instructions[0].actions[0].field.eth_dst",
    68,
  ],
  [
    "set-field with a mask",
    flow("", "00040020 00000000 00190018 8000070c 000000000000 ffffffffffff 00000000"),
    "OFPBAC_BAD_SET_TYPE",
    "instructions[0].actions[0].field",
    68,
  ],
])("§7.4.4: %s", (_what, bytes, code, path, offset) => {
  const error = refusal(bytes);
  expect([error.error_code, error.path, error.offset]).toEqual([code, path, offset]);
  expect(error.message).toContain(code);
});

test.each([
  ["too short for a header", "04000004", "OFPBRC_BAD_LEN"],
  ["a length that is not the message's", "0400000900000000", "OFPBRC_BAD_LEN"],
  ["another version", "0105000800000000", "OFPBRC_BAD_VERSION"],
  ["an unknown type", "04aa000800000000", "OFPBRC_BAD_TYPE"],
  ["an unknown multipart type", "0412001000000000 00aa000000000000", "OFPBRC_BAD_MULTIPART"],
  ["bytes after a message that has none", "0414001000000000 0000000000000000", "OFPBRC_BAD_LEN"],
])("§7.4.4: %s", (_what, hex, code) => {
  expect(refusal(fromHex(hex)).error_code).toBe(code);
});

test("§6.3.1: HELLO and ERROR of other versions are read", () => {
  expect(decode(fromHex("0600000800000001"))).toMatchObject({ type: "OFPT_HELLO", version: 6 });
  expect(decode(fromHex("0101000c00000001 00000000"))).toMatchObject({
    type: "OFPT_ERROR",
    version: 1,
    error_code: "OFPHFC_INCOMPATIBLE",
  });
});

test("every error type and code goes by its name both ways", () => {
  for (const [error_type, { codes }] of Object.entries(ofErrors)) {
    for (const error_code of codes) {
      const message = { type: "OFPT_ERROR", error_type, error_code } as Parameters<typeof encode>[0];
      expect(decode(encode(message))).toMatchObject({ error_type, error_code });
    }
  }
});

test("errorFor answers a request with its xid and its first 64 bytes", () => {
  const request = new Uint8Array(100).fill(1);
  request.set([4, 14, 0, 100, 0, 0, 0, 9]);
  const answer = errorFor(refusal(request), request);
  expect(answer).toMatchObject({ type: "OFPT_ERROR", xid: 9, error_type: "OFPET_BAD_MATCH" });
  expect(decode(encode(answer))).toMatchObject({ data: request.slice(0, 64) });
});

test("errors of experimenters go by name in JSON, and the data must begin with the experimenter's number", () => {
  const data = fromHex("0000232004140008 00000001");
  const message = { type: "OFPT_ERROR", error_type: "OFPET_EXPERIMENTER", error_code: 15, data } as const;
  const json = toJson(decode(encode(message)));
  expect(json).toMatchObject({ error_type: "OFPET_EXPERIMENTER", error_code: "NXBAC_BAD_CONJUNCTION" });
  expect(encode(fromJson(json))).toEqual(encode(message));
  expect(toJson({ ...message, error_code: 999 })).toMatchObject({ error_code: 999 });
  expect(() => fromJson({ ...(json as object), data: "4f4e4600" })).toThrow(/^error_code: "NXBAC_BAD/);
  expect(() => fromJson({ ...(json as object), error_code: "NXBAC_NOPE" })).toThrow(
    /^error_code: "NXBAC_NOPE"/,
  );
});

test("fields that an action names by their header go by name in JSON", () => {
  const action = { type: "NXAST_CT", flags: 0, zone_src: 0x00010204, zone: 15, actions: [] } as const;
  const message = { type: "OFPT_PACKET_OUT", in_port: 1, actions: [action] } as const;
  const json = toJson(decode(encode(message))) as { actions: { zone_src: unknown }[] };
  expect(json.actions[0]!.zone_src).toBe("reg1");
  expect(encode(fromJson(json))).toEqual(encode(message));
  for (const zone_src of [0, "0x10204", "header:0x00010299", "reg1/mask"]) {
    const given = fromJson({ ...json, actions: [{ ...json.actions[0], zone_src }] });
    expect(fromJson(toJson(given))).toEqual(given);
  }
  expect(() => fromJson({ ...json, actions: [{ ...json.actions[0], zone_src: "reg99" }] })).toThrow(
    /^actions\[0\]\.zone_src: "reg99"/,
  );
});

test("encode names the path of a value that has no encoding", () => {
  const refuse = (message: unknown) => {
    try {
      encode(message as Parameters<typeof encode>[0]);
    } catch (error) {
      if (error instanceof EncodeError) return error.message;
      throw error;
    }
    throw new Error("encoded");
  };
  const mod = { type: "OFPT_FLOW_MOD", command: "OFPFC_ADD" };
  const apply = (action: unknown) => ({
    ...mod,
    instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [action] }],
  });
  expect(refuse({ ...mod, priority: 65_536 })).toBe("priority: 65536 is not a number from 0 to 65535");
  expect(refuse({ type: "OFPT_FLOW_MOD" })).toMatch(/^command: is missing/);
  expect(refuse({ ...mod, cookie: 5 })).toBe("cookie: 5 is not a bigint of 64 bits");
  expect(refuse({ ...mod, cookie: -1n })).toMatch(/^cookie: -1n is not/);
  expect(refuse({ ...mod, match: { eth_dst: "nope" } })).toMatch(/^match\.eth_dst: "nope" is not a MAC/);
  expect(refuse({ ...mod, match: { nosuch: 1 } })).toBe("match.nosuch: no such match field");
  expect(refuse({ ...mod, match: { in_port: { value: 1, mask: 1 } } })).toMatch(/takes no mask/);
  expect(refuse({ ...mod, match: { vlan_pcp: 8 } })).toMatch(/^match\.vlan_pcp: 8 is not a number of 3 bits/);
  expect(refuse(apply({ type: "OFPAT_OUTPUT" }))).toMatch(
    /^instructions\[0\]\.actions\[0\]\.port: is missing/,
  );
  expect(refuse(apply({ type: "OFPAT_NOPE" }))).toMatch(
    /^instructions\[0\]\.actions\[0\]\.type: "OFPAT_NOPE"/,
  );
  expect(refuse(apply({ type: "OFPAT_SET_FIELD", field: {} }))).toMatch(/one match field/);
  expect(refuse({ type: "OFPT_ECHO_REQUEST", data: new Uint8Array(70_000) })).toMatch(/of at most 65535/);
  expect(refuse({ type: "NOPE" })).toMatch(/^type: "NOPE"/);
  expect(refuse(null)).toMatch(/an object/);
});

test("§7.2.3.6: a field without its prerequisites, and an unknown one, are refused when asked for", () => {
  const code = (match: Parameters<typeof checkMatch>[0]) => {
    try {
      checkMatch(match);
      return "";
    } catch (error) {
      return (error as OfDecodeError).error_code;
    }
  };
  expect(code({ eth_type: 0x0800, ip_proto: 6, tcp_dst: 80 })).toBe("");
  expect(code({ nxm_of_eth_type: 0x0800, ip_proto: 6, tcp_dst: 80 })).toBe("");
  expect(code({ ip_proto: 6, tcp_dst: 80 })).toBe("OFPBMC_BAD_PREREQ");
  expect(code({ eth_type: 0x0800, ip_proto: 17, tcp_dst: 80 })).toBe("OFPBMC_BAD_PREREQ");
  expect(code({ vlan_vid: 0, vlan_pcp: 1 })).toBe("OFPBMC_BAD_PREREQ");
  expect(code({ "oxm:0x8000:99": "00" })).toBe("OFPBMC_BAD_FIELD");
});
