import type { Reporter, TestModule } from "vitest/node";

/** Says at the end how many tests were skipped and why, and closes with one plain line of counts. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const reasons = new Map<string, number>();
    for (const module of modules) {
      let ran = false;
      for (const test of module.children.allTests()) {
        ran = true;
        const state = test.result().state;
        if (state === "passed" || state === "failed") counts[state]++;
        else {
          counts.skipped++;
          const reason = /\{skipped: (.*?)\}/.exec(test.fullName)?.[1] ?? `no reason given: ${test.fullName}`;
          reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
        }
      }
      if (!ran && module.errors().length > 0) counts.failed++;
    }
    const lines = [...reasons].map(([reason, count]) => `${count} skipped: ${reason}`);
    lines.push(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
    process.stdout.write(`\n${lines.join("\n")}\n`);
  }
}
