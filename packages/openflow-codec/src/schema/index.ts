/** The declaration language, for declarations of one's own. */
export * from "./declare.js";
export * from "./nodes.js";
export { hexBytes, type OxmClass, type OxmOptions, oxm, oxmClass, oxmRows } from "./oxm-field.js";
