import type { Reporter, TestCase, TestModule, TestSuite } from "vitest/node";

/** Says at the end how many tests were skipped and why, and closes with one plain line of counts. A test that never
 *  ran because its suite could not be set up has failed. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const reasons = new Map<string, number>();
    for (const module of modules) {
      if (module.errors().length > 0) counts.failed++;
      for (const test of module.children.allTests()) {
        const outcome = outcomeOf(test);
        counts[outcome]++;
        if (outcome !== "skipped") continue;
        const reason = /\{skipped: (.*?)\}/.exec(test.fullName)?.[1] ?? `no reason given: ${test.fullName}`;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
    }
    const lines = [...reasons].map(([reason, count]) => `${count} skipped: ${reason}`);
    lines.push(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
    process.stdout.write(`\n${lines.join("\n")}\n`);
  }
}

function outcomeOf(test: TestCase): "passed" | "failed" | "skipped" {
  const { state } = test.result();
  if (state === "passed" || state === "failed") return state;
  for (let above: TestSuite | TestModule = test.parent; above.type === "suite"; above = above.parent) {
    if (above.errors().length > 0) return "failed";
  }
  return "skipped";
}
