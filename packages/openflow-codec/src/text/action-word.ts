import type { ActionInit } from "../v13/actions.js";
import type { Match } from "../v13/match.js";
import type { PortNames } from "./ports.js";
import type { Word } from "./scan.js";

/** What the parsers of single actions share. */

export interface ActionOptions extends PortNames {
  /** The flow's match: mod_tp_src asks it for the protocol, mod_vlan_vid whether there is a tag. */
  readonly match?: Match;
}

export interface Context extends ActionOptions {
  hasVlan: boolean;
  /** How many actions are around. */
  depth: number;
}
/** Reads the argument of one word. */
export type Parse = (value: string, context: Context, word: Word) => ActionInit | readonly ActionInit[];

export const U16 = 0xffff;
export const U32 = 0xffffffff;

export const setField = (name: string, value: unknown): ActionInit => ({
  type: "OFPAT_SET_FIELD",
  field: { [name]: value } as Match,
});

export const ofsNbits = (ofs: number, nBits: number): number => (ofs << 6) | (nBits - 1);
