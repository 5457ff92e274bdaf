import { defineConfig, type Options } from 'tsup'

/** The one way a library of this workspace is built: ESM, types, source maps, `node:` imports kept. */
export const library = (entry: string[], more: Options = {}) =>
  defineConfig({
    entry,
    format: 'esm',
    dts: true,
    sourcemap: true,
    clean: true,
    removeNodeProtocol: false,
    target: 'node22',
    tsconfig: 'tsconfig.json',
    ...more,
  })
