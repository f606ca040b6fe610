export type { Infer, Init } from "./schema/declare.js";
export { EncodeError, type ErrorRef, OfDecodeError } from "./schema/error.js";
export type { Masked, OxmField } from "./schema/oxm-field.js";
export type { Action, ActionInit } from "./v13/actions.js";
export * from "./v13/errors.js";
export type { Instruction, InstructionInit } from "./v13/instructions.js";
export { type Match, oxmField, oxmFields } from "./v13/match.js";
export * from "./v13/messages.js";
export * from "./v13/numbers.js";
