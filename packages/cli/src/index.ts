export { CliError, type CommandModule, type Io, write } from "./io.js";
export { main } from "./main.js";
export { version } from "./version.js";
