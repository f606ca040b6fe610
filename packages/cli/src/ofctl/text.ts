import type { ActionInit, InstructionInit, Match, MessageInitOf, OfMessage } from "@sluice/openflow-codec";
import { CliError } from "../io.js";
import type { PortNames } from "./names.js";

const no = (): never => {
  throw new CliError("text is not there yet: use --json");
};

export const formatMessage: (
  message: OfMessage,
  names?: PortNames,
  options?: { packets?: boolean },
) => string = no;
export const formatFlow: (flow: object, options: { names: PortNames | undefined; stats: boolean }) => string =
  no;
export const parseFlow: (text: string, command: string, names?: PortNames) => MessageInitOf<"OFPT_FLOW_MOD"> =
  no;
export const parseGroup: (
  text: string,
  command: string,
  names?: PortNames,
) => MessageInitOf<"OFPT_GROUP_MOD"> = no;
export const parseMeter: (text: string, command: string) => MessageInitOf<"OFPT_METER_MOD"> = no;
export const parseActions: (text: string, names?: PortNames) => ActionInit[] = no;
export const formatMatch: (match: object, names?: PortNames) => string = no;
export const formatInstructions: (list: readonly InstructionInit[], names?: PortNames) => string = no;
export const matchKey: (match: Match | object) => string = no;
