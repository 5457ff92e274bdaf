import { defineConfig } from 'vitest/config'

// Workspace packages resolve to their sources through this export condition, so tests need no build.
const conditions = ['@skrei/source', 'module', 'node', 'development|production']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['{packages,apps,examples}/*/test/**/*.test.ts', 'benchmarks/test/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 60_000,
    onConsoleLog: () => {
      throw new Error('a test or the code under test wrote to the console')
    },
  },
})
