import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { dir: import.meta.dirname, include: ['measure.ts'], reporters: ['default'], fileParallelism: false, testTimeout: 900_000 },
});
