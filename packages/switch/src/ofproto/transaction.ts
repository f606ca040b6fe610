/** Changes that are made at once and may have to be taken back: each tells how to undo it, and what to do when all
 *  are there to stay (events, above all). */
export class Transaction {
  readonly #undo: (() => void)[] = [];
  readonly #after: (() => void)[] = [];

  onUndo(undo: () => void): void {
    this.#undo.push(undo);
  }

  onCommit(after: () => void): void {
    this.#after.push(after);
  }

  commit(): void {
    for (const after of this.#after) after();
  }

  rollback(): void {
    for (const undo of this.#undo.reverse()) undo();
  }
}

/** Runs `body`; takes everything back when it throws. */
export function transact(body: (transaction: Transaction) => void): void {
  const transaction = new Transaction();
  try {
    body(transaction);
  } catch (error) {
    transaction.rollback();
    throw error;
  }
  transaction.commit();
}
