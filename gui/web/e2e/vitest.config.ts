import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** ByName runs the files in the order of their names, on every machine. */
class ByName extends BaseSequencer {
  override sort(files: TestSpecification[]) {
    return Promise.resolve(files.toSorted((a, b) => a.moduleId.localeCompare(b.moduleId)));
  }
}

export default defineConfig({
  test: {
    dir: import.meta.dirname,
    include: ['*.e2e.ts'],
    globalSetup: ['./e2e/cluster.ts'],
    reporters: ['default', './build/reporter.ts'],
    // One cluster for all: what a test changes, the next one sees.
    fileParallelism: false,
    sequence: { sequencer: ByName },
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
});
