export * from "./clock.js";
export * from "./idle-probe.js";
export * from "./log.js";
export * from "./pidfile.js";
export * from "./reconnect.js";
export * from "./rundir.js";
export * from "./stream.js";
export * from "./target.js";
