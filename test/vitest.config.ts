import { defineConfig } from 'vitest/config';

// Whole systems of real processes: each file starts its own.
export default defineConfig({
  test: { testTimeout: 60_000, hookTimeout: 90_000, maxWorkers: 2 },
});
