import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    dir: import.meta.dirname,
    include: ['*.e2e.ts'],
    globalSetup: ['./e2e/cluster.ts'],
    reporters: ['default', './build/reporter.ts'],
    // One cluster for all: what a test changes, the next one sees.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
