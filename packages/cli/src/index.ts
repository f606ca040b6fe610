export { CliError, type CommandModule, type Io, write } from "./io.js";
export { main, version } from "./main.js";
