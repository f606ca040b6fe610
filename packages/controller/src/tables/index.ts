/** A model of OpenFlow tables, groups and ports that answers "where does this packet go, and why?": for one switch
 *  (`traceSwitch`) and across a network (`tracePath`). Values and pure functions; knows no connection and no clock. */
export {
  compareTables,
  differingGroups,
  differingMeters,
  fetchGroups,
  fetchGroupsAndMeters,
  fetchMeters,
  fetchTables,
  sameFlow,
  type TableDifference,
} from "./fetch.js";
export { frameBytes, type ModelPacket, packetFromFrame, packetFromMatch } from "./packet.js";
export * from "./path.js";
export {
  asReceived,
  type ListedFlow,
  type ModelFlow,
  type ModelGroup,
  type ModelMeter,
  type ReadonlyTables,
  type Refusal,
  SwitchTables,
  type TableChange,
  type TableWatcher,
} from "./switch-tables.js";
export * from "./trace.js";
export { termsOf } from "./values.js";
