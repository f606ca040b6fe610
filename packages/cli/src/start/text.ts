import type { Host } from "@sluice/lab";

/** What a person needs to know of a running network. */
export interface Addresses {
  version: string;
  bridge: string;
  rundir: string;
  /** `unix:…` and `tcp:…` of the OVSDB server. */
  dbUnix: string;
  dbTcp: string;
  controller: string;
  isOurController: boolean;
  hosts: readonly Host[];
}

export function banner(at: Addresses): string {
  const hosts = at.hosts.map(({ name, ip }) => `${name} ${ip}`).join(", ");
  const controller = at.isOurController
    ? `learning switch on ${at.controller}`
    : `${at.controller} (not ours)`;
  return `Sluice ${at.version}: a network in one process. Ctrl-C stops it.

  OVSDB server  ${at.dbTcp} and ${at.dbUnix}
  switch        bridge ${at.bridge}, user-space datapath, fail-mode secure
  controller    ${controller}
  hosts         ${hosts}

Point real tools at it:
  ovs-vsctl --db=${at.dbTcp} show
  ovs-ofctl -O OpenFlow13 dump-flows unix:${at.rundir}/${at.bridge}.mgmt
  ${ryuLine(at)}
or ours:
  npx sluice vsctl --db=${at.dbTcp} show
  npx sluice ofctl dump-flows unix:${at.rundir}/${at.bridge}.mgmt
`;
}

/** How another controller takes over: at the next start, or while it runs. */
const ryuLine = (at: Addresses): string =>
  at.isOurController
    ? `ryu-manager --ofp-tcp-listen-port 6633 ryu.app.simple_switch_13   # or osken-manager, and then
  ovs-vsctl --db=${at.dbTcp} set-controller ${at.bridge} tcp:127.0.0.1:6633`
    : `ryu-manager --ofp-tcp-listen-port ${at.controller.split(":").at(-1)} ryu.app.simple_switch_13   # or osken-manager`;
