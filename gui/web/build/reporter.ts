// Writes the results of a run as "go test -json" does, for the summary of .ci/run.
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Reporter, TestCase } from 'vitest/node';

const actions = { passed: 'pass', failed: 'fail', skipped: 'skip', pending: 'fail' } as const;

export default class GoReporter implements Reporter {
  private readonly file = process.env.BELAY_RESULTS;

  onInit() {
    if (!this.file) return;
    mkdirSync(dirname(this.file), { recursive: true });
    rmSync(this.file, { force: true });
  }

  onTestCaseResult(test: TestCase) {
    if (!this.file) return;
    const line = { Action: actions[test.result().state], Package: 'gui/web', Test: `${test.module.relativeModuleId}/${test.fullName}` };
    appendFileSync(this.file, JSON.stringify(line) + '\n');
  }
}
