import { describe, expect, test } from "vitest";
import { decideRole, isStale, mayRequest } from "./roles.js";

const ask = (role: string | number, generation_id = 0n, newest?: bigint) =>
  decideRole({ role, generation_id }, "OFPCR_ROLE_EQUAL", newest);

describe("§7.3.9 role requests", () => {
  test("the first master sets the generation and demotes the others", () => {
    expect(ask("OFPCR_ROLE_MASTER", 5n)).toEqual({
      ok: true,
      role: "OFPCR_ROLE_MASTER",
      generation_id: 5n,
      demoteOthers: true,
    });
  });

  test("a slave sets the generation too, and demotes nobody", () => {
    expect(ask("OFPCR_ROLE_SLAVE", 6n, 5n)).toMatchObject({ generation_id: 6n, demoteOthers: false });
  });

  test.each(["OFPCR_ROLE_MASTER", "OFPCR_ROLE_SLAVE"])("%s with an older generation is stale", (role) => {
    expect(ask(role, 4n, 5n)).toEqual({ ok: false, error_code: "OFPRRFC_STALE" });
  });

  test("the same generation again is not stale", () => {
    expect(ask("OFPCR_ROLE_MASTER", 5n, 5n).ok).toBe(true);
  });

  test("EQUAL and NOCHANGE ignore the generation", () => {
    expect(ask("OFPCR_ROLE_EQUAL", 1n, 5n)).toMatchObject({ ok: true, generation_id: 5n });
    expect(
      decideRole({ role: "OFPCR_ROLE_NOCHANGE", generation_id: 1n }, "OFPCR_ROLE_SLAVE", 5n),
    ).toMatchObject({
      ok: true,
      role: "OFPCR_ROLE_SLAVE",
      generation_id: 5n,
    });
  });

  test("an unknown role is OFPRRFC_BAD_ROLE", () => {
    expect(ask(9)).toEqual({ ok: false, error_code: "OFPRRFC_BAD_ROLE" });
  });

  test("the generation wraps around: 0 follows 2^64 - 1", () => {
    expect(isStale(0n, 0xffff_ffff_ffff_ffffn)).toBe(false);
    expect(isStale(0xffff_ffff_ffff_ffffn, 0n)).toBe(true);
    expect(isStale(0n, undefined)).toBe(false);
  });
});

test("§6.3.4: a slave may read but not change", () => {
  expect(mayRequest("OFPCR_ROLE_SLAVE", "OFPT_FLOW_MOD")).toBe(false);
  expect(mayRequest("OFPCR_ROLE_SLAVE", "OFPT_PACKET_OUT")).toBe(false);
  expect(mayRequest("OFPCR_ROLE_SLAVE", "OFPT_MULTIPART_REQUEST")).toBe(true);
  expect(mayRequest("OFPCR_ROLE_MASTER", "OFPT_FLOW_MOD")).toBe(true);
});
