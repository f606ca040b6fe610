import type { MessageInitOf, OfMessage, PortNames } from "@sluice/openflow-codec";
import { CliError } from "../io.js";

const no = (): never => {
  throw new CliError("text is not there yet: use --json");
};

export const formatMessage: (
  message: OfMessage,
  names?: PortNames,
  options?: { packets?: boolean },
) => string = no;
export const parseGroup: (
  text: string,
  command: string,
  names?: PortNames,
) => MessageInitOf<"OFPT_GROUP_MOD"> = no;
export const parseMeter: (text: string, command: string) => MessageInitOf<"OFPT_METER_MOD"> = no;
