import { build } from 'esbuild'

export interface ClientBundle {
  readonly code: Uint8Array
  /** The sources that it is made of. */
  readonly inputs: readonly string[]
}

/** The client as a bundler makes it for a browser: one ES module. */
export const clientBundle = async (): Promise<ClientBundle> => {
  const { outputFiles, metafile } = await build({
    entryPoints: [new URL('../src/client.ts', import.meta.url).pathname],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    minify: true,
    write: false,
    metafile: true,
    conditions: ['@skrei/source'],
    logLevel: 'silent',
  })
  return { code: outputFiles[0]?.contents ?? new Uint8Array(), inputs: Object.keys(metafile.inputs) }
}
