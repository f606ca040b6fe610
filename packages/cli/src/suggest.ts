import { CliError } from "./io.js";

/** How many letters have to be added, left out, changed or swapped with their neighbour to make `b` of `a`. */
function distance(a: string, b: string): number {
  let older: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, older[j - 2]! + 1);
      row.push(best);
    }
    [older, last] = [last, row];
  }
  return last[b.length]!;
}

/** " (did you mean X?)" where one of `known` is what `typed` was most likely meant to be, else "". */
export function didYouMean(typed: string, known: Iterable<string>): string {
  const word = typed.replace(/^ovs-/, "");
  const limit = Math.max(1, Math.floor(word.length / 4));
  let best: string | undefined;
  let least = limit + 1;
  for (const name of known) {
    if (Math.abs(name.length - word.length) > limit) continue;
    const d = distance(word, name);
    if (d < least) [best, least] = [name, d];
  }
  return best === undefined ? "" : ` (did you mean ${best}?)`;
}

/** The error of a command that is not among `commands`. */
export const unknownCommand = (name: string, commands: Readonly<Record<string, unknown>>): CliError =>
  new CliError(`unknown command '${name}'${didYouMean(name, Object.keys(commands))}; use --help for help`);
