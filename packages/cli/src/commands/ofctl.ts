import { CliError, type Io } from "../io.js";

export async function run(argv: readonly string[], _io: Io): Promise<number> {
  throw new CliError(`unknown command ${argv[0] ?? ""}`);
}
