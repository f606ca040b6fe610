import { expect, test } from "vitest";
import { DEFAULT_ASYNC, fromAsyncFields, toAsyncFields, wants } from "./async.js";

test("§6.3.4: by default a slave hears of ports only", () => {
  expect(wants(DEFAULT_ASYNC, "OFPCR_ROLE_SLAVE", "port_status", "OFPPR_MODIFY")).toBe(true);
  expect(wants(DEFAULT_ASYNC, "OFPCR_ROLE_SLAVE", "packet_in", "OFPR_NO_MATCH")).toBe(false);
  expect(wants(DEFAULT_ASYNC, "OFPCR_ROLE_SLAVE", "flow_removed", "OFPRR_DELETE")).toBe(false);
});

test.each(["OFPCR_ROLE_MASTER", "OFPCR_ROLE_EQUAL"] as const)(
  "by default %s hears of everything but bad TTLs",
  (role) => {
    expect(wants(DEFAULT_ASYNC, role, "packet_in", "OFPR_NO_MATCH")).toBe(true);
    expect(wants(DEFAULT_ASYNC, role, "packet_in", "OFPR_ACTION")).toBe(true);
    expect(wants(DEFAULT_ASYNC, role, "packet_in", "OFPR_INVALID_TTL")).toBe(false);
    expect(wants(DEFAULT_ASYNC, role, "flow_removed", "OFPRR_GROUP_DELETE")).toBe(true);
  },
);

test("§7.3.10: what OFPT_SET_ASYNC sets is what OFPT_GET_ASYNC_REQUEST reads, per role", () => {
  const fields = { packet_in_mask: [4, 2], port_status_mask: [1, 0], flow_removed_mask: [0, 8] };
  const config = fromAsyncFields(fields, DEFAULT_ASYNC);
  expect(toAsyncFields(config)).toEqual(fields);
  expect(wants(config, "OFPCR_ROLE_MASTER", "packet_in", "OFPR_INVALID_TTL")).toBe(true);
  expect(wants(config, "OFPCR_ROLE_MASTER", "packet_in", "OFPR_ACTION")).toBe(false);
  expect(wants(config, "OFPCR_ROLE_SLAVE", "packet_in", "OFPR_ACTION")).toBe(true);
  expect(wants(config, "OFPCR_ROLE_SLAVE", "flow_removed", "OFPRR_GROUP_DELETE")).toBe(true);
});
