export { formatActions, formatInstructions } from "./action-format.js";
export { parseActions, parseInstructions } from "./action-parse.js";
export type { ActionOptions } from "./action-word.js";
export { TextError } from "./error.js";
export { oxmNameOfHeader } from "./fields.js";
export {
  type FlowCommand,
  formatDuration,
  formatFlowStats,
  formatPriorityAndMatch,
  parseFlow,
  parseFlowFilter,
} from "./flow.js";
export { formatGroup, type GroupCommand, parseGroup } from "./group.js";
export { formatMatch } from "./match-format.js";
export { type MatchOptions, parseMatch } from "./match-parse.js";
export { formatMessage, type MessageOptions } from "./message.js";
export { formatMeter, type MeterCommand, parseMeter, parseMeterId } from "./meter.js";
export { formatPortDesc, formatPortStats, parsePortDesc } from "./port.js";
export { formatPort, type PortNames, parsePort } from "./ports.js";
