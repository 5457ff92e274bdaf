import { copyFileSync } from 'node:fs'
import { defineConfig, type Options } from 'tsup'

/** What is packed carries both licences: copied at each build, from the one place where they are kept. */
const licences: NonNullable<Options['plugins']>[number] = {
  name: 'licences',
  buildEnd: () => {
    for (const file of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(new URL(file, import.meta.url), file)
  },
}

/** The one way a package of this workspace is built: ESM, types, source maps, `node:` imports kept, the licences beside it. */
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
    plugins: [licences],
    ...more,
  })
