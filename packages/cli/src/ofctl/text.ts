import type { OfMessage } from "@sluice/openflow-codec";
import { CliError } from "../io.js";

export const formatMessage = (_message: OfMessage, _names?: unknown): string => {
  throw new CliError("text is not there yet: use --json");
};
