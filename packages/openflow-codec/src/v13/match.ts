import { nxmClasses } from "../ext/nxm.js";
import type { Typed } from "../schema/declare.js";
import type { MatchNode, OxmIdsNode, OxmListNode, OxmNode } from "../schema/nodes.js";
import { type Masked, type MatchMembers, type OxmField, oxmRows } from "../schema/oxm-field.js";
import { oxmBasic } from "./oxm-basic.js";

/** A match: OXM fields by name, in wire order. A value, or `{ value, mask }`. What no declaration names is
 *  `oxm:0xCLASS:FIELD` (`:0xEXPERIMENTER` after it in class 0xffff) with hex digits for the value. */
export type Match = MatchMembers<typeof oxmBasic> &
  MatchMembers<(typeof nxmClasses)["of"]> &
  MatchMembers<(typeof nxmClasses)["nx"]> &
  MatchMembers<(typeof nxmClasses)["nxRegs"]> &
  MatchMembers<(typeof nxmClasses)["packetRegs"]> &
  MatchMembers<(typeof nxmClasses)["nxoxm"]> &
  MatchMembers<(typeof nxmClasses)["onf"]> &
  MatchMembers<(typeof nxmClasses)["later"]> & { [unknown: `oxm:${string}`]: Masked<string> | undefined };

/** A row for every field that the codec knows by name. */
export const oxmFields: readonly OxmField[] = Object.freeze([
  ...oxmRows(oxmBasic),
  ...Object.values(nxmClasses).flatMap((group) => oxmRows(group)),
]);

const byName = new Map(oxmFields.map((field) => [field.name, field]));

/** The row of a field's name. */
export const oxmField = (name: string): OxmField | undefined => byName.get(name);

type MatchInit = Readonly<Match>;

/** struct ofp_match (§7.2.3.1). */
export const match: Typed<MatchNode, Match, MatchInit, true> = Object.freeze({ kind: "match" }) as never;
/** OXM fields without the ofp_match around them. */
export const oxmList: Typed<OxmListNode, Match, MatchInit, true> = Object.freeze({
  kind: "oxmList",
}) as never;
/** One OXM field: an object with one key. */
export const oneOxm = (mask: boolean): Typed<OxmNode, Match, MatchInit> =>
  Object.freeze({ kind: "oxm", mask }) as never;

export type { OxmIdsNode };
