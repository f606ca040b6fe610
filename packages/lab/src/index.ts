export * from "./clock.js";
export * from "./dummy-port.js";
export * from "./host/host.js";
export * from "./host/probe.js";
export * from "./host/respond.js";
export * from "./link.js";
export * from "./network.js";
export * from "./random.js";
