export * from "./address.js";
export * from "./checksum.js";
export * from "./hex.js";
export * from "./packet/index.js";
