export * from "./compose.js";
export * from "./definition.js";
export { AppFiles } from "./load.js";
export { checkSettings } from "./settings.js";
