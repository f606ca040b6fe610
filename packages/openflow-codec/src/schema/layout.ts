import type { FieldNode, StructNode, TagNode, UnionNode } from "./nodes.js";

/** Sizes and offsets that follow from a declaration. */

/** How deep lists may stand in a list of their own kind: actions in a clone in a clone. The bound of Open vSwitch's
 *  text; without one, a message could ask for more stack than there is. */
export const MAX_NESTING = 99;

/** The fewest bytes that a field takes, and whether it takes as many always. */
function extent(field: FieldNode): readonly [min: number, isFixed: boolean] {
  switch (field.kind) {
    case "embed":
      return [structMin(field.of), true];
    case "array":
      return [(field.count ?? 0) * field.of.size, field.count !== undefined];
    case "match":
      return [8, false];
    case "oxm":
    case "oxmId":
      return [4, false];
    case "list":
    case "rest":
    case "restText":
    case "oxmList":
    case "oxmIds":
    case "variant":
    case "optional":
    case "custom":
    case "padTail":
    case "padUntil":
      return [0, false];
    default:
      return [field.size, true];
  }
}

export const minSize = (field: FieldNode): number => extent(field)[0];
export const isFixed = (field: FieldNode): boolean => extent(field)[1];

/** A pure function of frozen declarations, worked out once for each. */
function once<K extends object, V>(work: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    let entry = known.get(key);
    if (entry === undefined) {
      entry = { value: work(key) };
      known.set(key, entry);
    }
    return entry.value;
  };
}

export const structMin = once((struct: StructNode): number => {
  let size = 0;
  for (const field of Object.values(struct.fields)) {
    size = field.kind === "padUntil" ? Math.max(size, field.size) : size + minSize(field);
  }
  return struct.padTo === undefined ? size : Math.ceil(size / struct.padTo) * struct.padTo;
});

export const isFixedStruct = once((struct: StructNode): boolean =>
  Object.values(struct.fields).every(isFixed),
);

/** Whether a field's end is the end of its struct's window. */
export function takesRest(struct: StructNode, name: string, field: FieldNode): boolean {
  switch (field.kind) {
    case "list":
    case "oxmList":
      return lengthOfFor(struct, name) === undefined;
    case "array":
      return field.count === undefined && field.counted === undefined;
    case "rest":
    case "restText":
    case "oxmIds":
    case "variant":
    case "custom":
      return true;
    default:
      return false;
  }
}

/** The name of the field that holds the byte length of `name`. */
export const lengthOfFor = (struct: StructNode, name: string): string | undefined =>
  Object.entries(struct.fields).find(([, field]) => field.kind === "lengthOf" && field.of === name)?.[0];

export interface Placed<N> {
  readonly offset: number;
  readonly node: N;
}

/** The fixed head of a struct: its fields up to the first of changing size, with offsets. */
export function headFields(struct: StructNode): Placed<FieldNode>[] {
  const head: Placed<FieldNode>[] = [];
  let offset = 0;
  for (const node of Object.values(struct.fields)) {
    if (!isFixed(node)) break;
    head.push({ offset, node });
    offset += minSize(node);
  }
  return head;
}

const tagsOf = (struct: StructNode): Placed<TagNode>[] =>
  headFields(struct).filter((placed): placed is Placed<TagNode> => placed.node.kind === "tag");

export const lengthFieldOf = once(
  (node: StructNode | UnionNode): { offset: number; size: 1 | 2 } | undefined => {
    const struct = node.kind === "union" ? node.members[0]! : node;
    const placed = headFields(struct).find(({ node: field }) => field.kind === "length");
    return placed === undefined
      ? undefined
      : { offset: placed.offset, size: (placed.node as { size: 1 | 2 }).size };
  },
);

/** Where the parts of a list start: at multiples of `align`. `padded`: a stated length need not be one. */
export const alignmentOf = (
  of: StructNode | UnionNode,
): { readonly align: number; readonly padded: boolean } =>
  of.kind === "union" ? of : { align: of.align ?? 1, padded: of.align !== undefined };

/** How a union chooses: by the number at `offset`, and where several members share it, by a further one. */
export interface Choice {
  readonly offset: number;
  readonly size: number;
  readonly cases: ReadonlyMap<number, Branch>;
}
export interface Branch {
  /** Takes what `next` does not. */
  readonly member?: StructNode;
  readonly next?: Choice;
}

export const choiceOf = once((members: readonly StructNode[]): Choice => choiceAt(members, 0));

function choiceAt(members: readonly StructNode[], depth: number): Choice {
  const first = tagsOf(members[0]!)[depth]!;
  const groups = new Map<number, StructNode[]>();
  for (const member of members) {
    const { value } = tagsOf(member)[depth]!.node;
    groups.set(value, [...(groups.get(value) ?? []), member]);
  }
  const cases = new Map<number, Branch>();
  for (const [value, group] of groups) {
    const ends = group.filter((member) => tagsOf(member).length === depth + 1);
    const goOn = group.filter((member) => tagsOf(member).length > depth + 1);
    cases.set(value, {
      ...(ends[0] ? { member: ends[0] } : {}),
      ...(goOn.length > 0 ? { next: choiceAt(goOn, depth + 1) } : {}),
    });
  }
  return { offset: first.offset, size: first.node.size, cases };
}

/** A union's members that have a name: the fallback too, if it has one. */
export const namedMembers = (union: UnionNode): readonly StructNode[] =>
  union.fallback?.type === undefined ? union.members : [...union.members, union.fallback];

/** A struct's fields in wire order. */
export const fieldEntries = once((struct: StructNode) => Object.entries(struct.fields));
