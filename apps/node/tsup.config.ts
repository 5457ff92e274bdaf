// @boundaries-ignore all packages are built in the one way that stands at the root
import { defineConfig } from 'tsup'

/** Commands stay separate chunks: each is loaded only when it is called. */
export default defineConfig({
  entry: ['src/main.ts'],
  format: 'esm',
  splitting: true,
  dts: false,
  sourcemap: true,
  clean: true,
  removeNodeProtocol: false,
  target: 'node22',
  tsconfig: 'tsconfig.json',
})
