import { custom } from "../schema/declare.js";

/** One part of the flow that NXAST_LEARN adds: `n_bits` from a field or of a constant, to a match field, a
 *  field to load, or the port to output to. */
export interface LearnSpec {
  readonly n_bits: number;
  /** Where the bits come from: a field's name and first bit, or hex digits (whole 16-bit words). */
  readonly src: { readonly field: string; readonly ofs: number } | { readonly value: string };
  readonly dst: "match" | "load" | "output";
  readonly dst_field?: string;
  readonly dst_ofs?: number;
}

export const learnSpecs = () => custom<readonly LearnSpec[]>("learnSpecs");
