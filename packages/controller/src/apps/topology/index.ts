export type {
  Topology,
  TopologyEvents,
  TopologyHost,
  TopologyLimits,
  TopologyLink,
  TopologyPort,
  TopologySwitch,
} from "./model.js";
export { LLDP_COOKIE, type TopologyApp, type TopologyOptions, topology, topologyApp } from "./topology.js";
