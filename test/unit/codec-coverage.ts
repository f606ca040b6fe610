import { messageUnion, ofErrors, oxmFields } from "@sluice/openflow-codec";
import type { FieldNode, StructNode, UnionNode } from "@sluice/openflow-codec/schema";
import { actionUnion } from "../../packages/openflow-codec/src/v13/actions.js";

/** What is declared, and what of it a message holds, both as names such as "ofp_action OFPAT_OUTPUT",
 *  "field ipv4_src with mask" or "OFPET_BAD_ACTION OFPBAC_BAD_LEN". Both walk the declaration, so that a name that
 *  two lists share (OFPMP_DESC, asked and answered) counts in each for itself. */

type Values = Readonly<Record<string, unknown>>;

const target = (node: { readonly kind: string }): StructNode | UnionNode =>
  node.kind === "ref" ? actionUnion : (node as StructNode | UnionNode);

const enumName = (node: FieldNode, value: unknown): string[] =>
  node.kind === "uint" && node.enum !== undefined ? [`${node.enum.name} ${String(value)}`] : [];

/** Names of all that the declaration holds. */
export function declared(): Set<string> {
  const names = new Set<string>();
  const done = new Set<object>();
  const visit = (node: StructNode | UnionNode, path: string): void => {
    if (done.has(node)) return;
    done.add(node);
    if (node.kind === "union") {
      for (const member of node.members) {
        names.add(`${node.name} ${member.type}`);
        visit(member, path);
      }
      if (node.fallback !== undefined) {
        names.add(`${node.name} unknown`);
        visit(node.fallback, path);
      }
      return;
    }
    for (const field of Object.values(node.fields)) {
      if (field.kind === "list" || field.kind === "embed") visit(target(field.of), path);
      else if (field.kind === "variant") {
        for (const body of Object.values(field.of.members)) {
          if (body.kind === "struct") names.add(`${field.of.name} ${body.type}`);
          visit(body, path);
        }
      } else if (field.kind === "uint" && field.enum !== undefined) {
        for (const name of Object.keys(field.enum.values)) names.add(`${field.enum.name} ${name}`);
      }
    }
  };
  visit(messageUnion, "");
  for (const { name, maskable, bits } of oxmFields) {
    names.add(`field ${name}`);
    if (maskable && bits > 1) names.add(`field ${name} with mask`);
  }
  for (const [type, { codes }] of Object.entries(ofErrors))
    for (const code of codes) names.add(`${type} ${code}`);
  return names;
}

/** Adds the names of what a decoded message holds. */
export function addHeld(names: Set<string>, message: object): void {
  visitUnion(names, messageUnion, message as Values);
}

function visitUnion(names: Set<string>, node: UnionNode, value: Values): void {
  const member = node.members.find(({ type }) => type === value.type) ?? node.fallback;
  if (member === undefined) throw new Error(`${node.name} has no ${String(value.type)}`);
  names.add(`${node.name} ${member === node.fallback ? "unknown" : member.type}`);
  visitStruct(names, member, value);
}

function visitStruct(names: Set<string>, node: StructNode, value: Values): void {
  for (const [key, field] of Object.entries(node.fields)) {
    const held = value[key];
    if (held !== undefined) visitField(names, field, held, value);
  }
}

function visitField(names: Set<string>, field: FieldNode, held: unknown, value: Values): void {
  switch (field.kind) {
    case "list":
    case "embed": {
      const of = target(field.of);
      for (const one of field.kind === "list" ? (held as Values[]) : [held as Values]) {
        if (of.kind === "union") visitUnion(names, of, one);
        else visitStruct(names, of, one);
      }
      return;
    }
    case "variant": {
      const body = held as Values;
      for (const one of Object.values(field.of.members)) {
        if (one.kind === "struct" && one.type === body.type) {
          names.add(`${field.of.name} ${one.type}`);
          visitStruct(names, one, body);
        } else if (
          one.kind === "union" &&
          [...one.members, one.fallback].some((m) => m?.type === body.type)
        ) {
          visitUnion(names, one, body);
        }
      }
      return;
    }
    case "match":
    case "oxmList":
    case "oxm":
      for (const [name, matched] of Object.entries(held as Values)) {
        names.add(`field ${name}${typeof matched === "object" && matched !== null ? " with mask" : ""}`);
      }
      return;
    case "errorCode":
      names.add(`${String(value[field.of])} ${String(held)}`);
      return;
    default:
      for (const name of enumName(field, held)) names.add(name);
  }
}
