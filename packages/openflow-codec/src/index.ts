export { checkBytes, fuzz } from "./check.js";
export {
  codecSource,
  decode,
  decoderWith,
  encode,
  encodeInto,
  encodeOrderedInto,
  type FlowModWith,
  fromJson,
  interpret,
  toJson,
} from "./codec.js";
export { errorFor } from "./error-reply.js";
export {
  type ExperimenterErrorName,
  experimenterErrorName,
  experimenterErrorNumbers,
  experimenterErrors,
} from "./ext/errors.js";
export { OFPFMF } from "./ext/flow-monitor.js";
export { Framer } from "./framer.js";
export { encodeMultipart, MultipartJoiner, splitMultipart } from "./multipart.js";
export { checkMatch, missingPrerequisite } from "./prerequisites.js";
export type { Infer, Init } from "./schema/declare.js";
export { EncodeError, type ErrorRef, OfDecodeError } from "./schema/error.js";
export { type Json, JsonError } from "./schema/json.js";
export type { Masked, OxmField } from "./schema/oxm-field.js";
export { type SupportColumn, type SupportKind, supportedTable } from "./supported.js";
export * from "./text/index.js";
export { ACTION_SET_ORDER, type Action, type ActionInit } from "./v13/actions.js";
export * from "./v13/errors.js";
export type { Instruction, InstructionInit } from "./v13/instructions.js";
export { type Match, oxmField, oxmFields } from "./v13/match.js";
export * from "./v13/messages.js";
export type * from "./v13/multipart.js";
export * from "./v13/numbers.js";
export type { Bucket, BucketInit, MeterBand, MeterBandInit, Port, PortInit } from "./v13/structs.js";
export type { TableFeatures, TableFeaturesInit } from "./v13/table-features.js";
