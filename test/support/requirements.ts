import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, test } from "vitest";

/** What a test needs of the machine, beyond Node and npm. */
export interface Requirements {
  /** Root, and the right to make network namespaces. */
  root?: boolean;
  /** Programs that must be on the PATH (or in /usr/sbin, /sbin). */
  programs?: readonly string[];
}

/** The Debian package that holds each program the tests may ask for. `.ci/run` installs these. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  "ovs-vsctl": "openvswitch-switch",
  "ovs-ofctl": "openvswitch-common",
  "ovs-appctl": "openvswitch-common",
  "ovsdb-client": "openvswitch-common",
  "ovsdb-tool": "openvswitch-common",
  "ovsdb-server": "openvswitch-switch",
  "ovs-vswitchd": "openvswitch-switch",
  "ovs-testcontroller": "openvswitch-testcontroller",
  "osken-manager": "python3-os-ken",
  tshark: "tshark",
  tcpdump: "tcpdump",
  iperf3: "iperf3",
  ip: "iproute2",
  ping: "iputils-ping",
  ethtool: "ethtool",
  openssl: "openssl",
  mn: "mininet",
  iperf: "iperf",
  unshare: "util-linux",
};

const SEARCH_PATH = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];

export const findProgram = (name: string): string | undefined =>
  SEARCH_PATH.map((dir) => join(dir, name)).find((path) => existsSync(path));

let namespacesWork: boolean | undefined;

function canMakeNamespaces(): boolean {
  namespacesWork ??= spawnSync("unshare", ["-n", "true"]).status === 0;
  return namespacesWork;
}

/** Why the requirements are not met, or undefined when they are. */
export function missing(needs: Requirements): string | undefined {
  if (needs.root && process.getuid?.() !== 0) return "needs root";
  if (needs.root && !canMakeNamespaces()) return "needs network namespaces";
  const absent = (needs.programs ?? []).find((program) => findProgram(program) === undefined);
  if (absent !== undefined) return `needs ${absent} (Debian package ${PACKAGE_OF[absent] ?? absent})`;
  return undefined;
}

/** `describe` for tests that need more than Node. Where the needs are not met the suite is skipped, and the
 *  reporter says why at the end; with CI=true it fails instead, so that CI never skips by accident. */
export function describeWith(needs: Requirements, name: string, body: () => void): void {
  const reason = missing(needs);
  if (reason === undefined) describe(name, body);
  else if (process.env.CI === "true") {
    describe(name, () => {
      test("has what it needs", () => {
        throw new Error(`${name}: ${reason}, and CI must not skip`);
      });
    });
  } else describe.skip(`${name} {skipped: ${reason}}`, body);
}
