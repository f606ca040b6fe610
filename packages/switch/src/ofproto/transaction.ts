/** Changes that are made at once and may have to be taken back: each tells how to undo it, and what to do when all
 *  are there to stay (events, above all). */
export class Transaction {
  #undo: (() => void)[] | undefined;
  #after: (() => void)[] | undefined;
  /** Whether it may be taken back. One request alone is not: it is refused before it has changed anything. */
  readonly canUndo: boolean;

  constructor(canUndo: boolean) {
    this.canUndo = canUndo;
  }

  onUndo(undo: () => void): void {
    if (!this.canUndo) return;
    this.#undo ??= [];
    this.#undo.push(undo);
  }

  onCommit(after: () => void): void {
    this.#after ??= [];
    this.#after.push(after);
  }

  commit(): void {
    if (this.#after) for (const after of this.#after) after();
  }

  rollback(): void {
    if (this.#undo) for (const undo of this.#undo.reverse()) undo();
  }
}

/** Runs `body`; takes everything back when it throws. `canUndo` false: it does not throw once it has changed something. */
export function transact(body: (transaction: Transaction) => void, canUndo = true): void {
  const transaction = new Transaction(canUndo);
  try {
    body(transaction);
  } catch (error) {
    transaction.rollback();
    throw error;
  }
  transaction.commit();
}
