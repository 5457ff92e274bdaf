import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Options } from 'tsup'

interface Metafile {
  readonly outputs: Record<string, { readonly inputs: Record<string, { readonly bytesInOutput: number }> }>
}

const allowed: ReadonlySet<string> = new Set(['MIT', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', '0BSD'])

/** `Apache-2.0 OR MIT`, `(MIT AND BSD-3-Clause)`: whoever may choose needs one that is allowed, whoever may not needs all. */
const isAllowed = (license: string): boolean =>
  license
    .replaceAll(/[()]/g, '')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((one) => allowed.has(one.trim())))

/**
 * For `onSuccess` of a build with `metafile: true`: third-party modules that were taken into dist take their licences with them, in `dist/third-party-licenses.txt`. Throws for a
 * licence that this project does not use.
 */
export const writeLicences = async (): Promise<void> => {
  const { outputs } = JSON.parse(readFileSync('dist/metafile-esm.json', 'utf8')) as Metafile
  rmSync('dist/metafile-esm.json')
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0))
  const folders = new Set(inputs.flatMap(([path]) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0] ?? []))
  const packages = [...folders].sort().map((folder) => {
    const { name, version, license, homepage } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, string>
    if (license === undefined || !isAllowed(license)) throw new Error(`${name} ${version} has the licence ${license}: it may not be bundled`)
    const files = readdirSync(folder).filter((file) => /^licen[sc]e/i.test(file))
    const file = files.find((candidate) => /mit/i.test(candidate)) ?? files[0]
    const text =
      file === undefined ? 'The packages above carry no licence text; their package.json names the licence.' : readFileSync(join(folder, file), 'utf8').trim()
    return { title: `${name} ${version} (${license}) ${homepage ?? ''}`.trimEnd(), text }
  })
  const sections = Map.groupBy(packages, ({ text }) => text)
    .entries()
    .map(([text, those]) => `${those.map(({ title }) => title).join('\n')}\n\n${text}\n`)
  writeFileSync('dist/third-party-licenses.txt', [...sections].join(`\n${'-'.repeat(80)}\n\n`))
}

/**
 * For `esbuildPlugins`: helia and libp2p bring a keychain, whose check of key names comes with a licence that this project does not use. Nothing here has named keys; a name is one as
 * far as it is plain.
 */
export const withoutSanitizeFilename: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'without-sanitize-filename',
  setup: (build) => {
    build.onResolve({ filter: /^sanitize-filename$/ }, () => ({ path: 'sanitize-filename', namespace: 'plain-name' }))
    build.onLoad({ filter: /.*/, namespace: 'plain-name' }, () => ({
      contents: `export default (name) => (/^[A-Za-z0-9][\\w.-]{0,99}$/.test(name) ? name : '')`,
    }))
  },
}

/**
 * For `esbuildPlugins`. To import `node:http` is to read all that it exports, and that loads Node's own undici, which nothing here uses: some 30 ms of every start. What is taken by `getBuiltinModule` is read
 * as it is used.
 */
export const lazyHttp: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'lazy-http',
  setup: (build) => {
    build.onResolve({ filter: /^(node:)?https?$/ }, ({ path }) => ({ path, namespace: 'lazy-http' }))
    build.onLoad({ filter: /.*/, namespace: 'lazy-http' }, ({ path }) => ({ contents: `module.exports = process.getBuiltinModule('${path}')` }))
  },
}

/**
 * For `esbuildPlugins`: dockerode also speaks SSH and gRPC, with native modules and files of their own, which cannot be bundled. Nothing here does: the engine is reached by its
 * socket, with plain HTTP.
 */
export const withoutSshAndGrpc: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'without-ssh-and-grpc',
  setup: (build) => {
    build.onResolve({ filter: /^(?:ssh2|protobufjs|@grpc\/grpc-js|@grpc\/proto-loader)$/ }, ({ path, importer }) =>
      /node_modules[\\/](?:dockerode|docker-modem)[\\/]/.test(importer) ? { path, namespace: 'not-used' } : undefined,
    )
    build.onLoad({ filter: /.*/, namespace: 'not-used' }, () => ({ contents: 'module.exports = {}' }))
  },
}
