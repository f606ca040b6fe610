import { expect, test, vi } from "vitest";
import { formatTarget, parseTarget } from "./target.js";

test.each([
  ["tcp:10.0.0.1", "tcp:10.0.0.1:6653"],
  ["tcp:10.0.0.1:6633", "tcp:10.0.0.1:6633"],
  ["ssl:[fe80::1]:6633", "ssl:[fe80::1]:6633"],
  ["tcp:fe80::1", "tcp:[fe80::1]:6653"],
  ["tcp:localhost:1", "tcp:localhost:1"],
  ["ptcp:", "ptcp:6653"],
  ["ptcp:6633", "ptcp:6633"],
  ["ptcp:0:127.0.0.1", "ptcp:0:127.0.0.1"],
  ["pssl:6633:[::1]", "pssl:6633:[::1]"],
  ["unix:/run/x.sock", "unix:/run/x.sock"],
  ["punix:/x y", "punix:/x y"],
])("%s is understood as %s", (text, canonical) => {
  expect(formatTarget(parseTarget(text))).toBe(canonical);
});

test.each([
  ["", "not a connection target"],
  ["127.0.0.1:6653", "not a connection target"],
  ["udp:127.0.0.1", "not a connection target"],
  ["tcp:", "a host is missing"],
  ["tcp:h:65536", '"65536" is not a port'],
  ["tcp:h:-1", '"-1" is not a port'],
  ["tcp:h:1e3", '"1e3" is not a port'],
  ["ptcp:x", '"x" is not a port'],
  ["ptcp:1:10.0.0.1:5", "is not an IP address"],
  ["unix:", "a path is missing"],
  [`unix:/${"x".repeat(107)}`, "the path has 108 bytes; a unix socket's may have 107"],
])("%s is refused in one line that names it", (text, why) => {
  expect(() => parseTarget(text)).toThrow(why);
  expect(() => parseTarget(text)).toThrow(`${text}: `);
});

test("the path of a unix socket is relative to the run directory, as in Open vSwitch", () => {
  vi.stubEnv("SLUICE_RUNDIR", "/run/ours");
  try {
    expect(formatTarget(parseTarget("unix:db.sock"))).toBe("unix:/run/ours/db.sock");
    expect(formatTarget(parseTarget("punix:a/../b.sock"))).toBe("punix:/run/ours/b.sock");
    expect(formatTarget(parseTarget("unix:/db.sock"))).toBe("unix:/db.sock");
    expect(() => parseTarget(`unix:${"x".repeat(100)}`)).toThrow("has 110 bytes");
  } finally {
    vi.unstubAllEnvs();
  }
});
