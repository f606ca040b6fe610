import { stringifyJson } from "@sluice/runtime";
import { OvsdbError } from "../schema/error.js";
import type { Database } from "./database.js";
import { runOperation, WaitPending } from "./operations.js";
import type { Table } from "./table.js";
import { type Commit, Transaction } from "./transaction.js";

export interface TransactOptions {
  ownsLock?: (name: string) => boolean;
  elapsedMs?: number;
  readOnly?: boolean;
}

/** Either the results, as the JSON text of an array, or what the transaction waits for. */
export type TransactOutcome =
  | {
      readonly results: string;
      readonly commit: Commit | undefined;
      readonly durable: boolean;
      readonly failed: boolean;
    }
  | { readonly waitsFor: Table; readonly deadlineMs: number };

/** Runs RFC 7047 §4.1.3's operations as one transaction: all or nothing. Never throws for what the client sent. */
export const transact = (
  database: Database,
  operations: readonly unknown[],
  { ownsLock = () => false, elapsedMs = 0, readOnly = false }: TransactOptions = {},
): TransactOutcome => {
  const txn = new Transaction();
  const context = { database, txn, ownsLock, elapsedMs, readOnly };
  let results = "";
  let count = 0;
  try {
    for (const operation of operations) {
      const result = runOperation(context, operation);
      results += count++ ? `,${result}` : result;
    }
  } catch (error) {
    txn.rollback();
    if (error instanceof WaitPending) return { waitsFor: error.table, deadlineMs: error.deadlineMs };
    results += (count++ ? "," : "") + errorText(describe(asOvsdbError(error), count, operations.length));
    for (; count < operations.length; count++) results += ",null";
    return { results: `[${results}]`, commit: undefined, durable: false, failed: true };
  }
  try {
    const commit = database.commit(txn);
    return { results: `[${results}]`, commit, durable: txn.durable, failed: false };
  } catch (error) {
    results += (count ? "," : "") + errorText(asOvsdbError(error));
    return { results: `[${results}]`, commit: undefined, durable: false, failed: true };
  }
};

const asOvsdbError = (error: unknown): OvsdbError => {
  if (error instanceof OvsdbError) return error;
  throw error;
};

/** Says which operation a syntax error is in. */
const describe = (error: OvsdbError, at: number, count: number): OvsdbError => {
  if (error.tag !== "syntax error") return error;
  const described = new OvsdbError(
    error.tag,
    `Parsing ovsdb operation ${at} of ${count} failed: ${error.details}`,
  );
  return error.syntax === undefined ? described : Object.assign(described, { syntax: error.syntax });
};

export const errorText = (error: OvsdbError): string => stringifyJson(error.toJson());
