import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export const repository = join(import.meta.dirname, '..')

/** The floors of the house: name of a package -> its tag in turbo.json and the entry points besides the index. */
const floors: Readonly<Record<string, { tag: string; entries?: readonly string[] }>> = {
  'job-spec': { tag: 'job-spec' },
  protocol: { tag: 'protocol' },
  transport: { tag: 'contract', entries: ['memory'] },
  executor: { tag: 'contract', entries: ['noop'] },
  storage: { tag: 'contract', entries: ['local', 'inline'] },
  'state-store': { tag: 'contract', entries: ['memory', 'sqlite'] },
  verifier: { tag: 'verifier' },
  scheduler: { tag: 'scheduler' },
  'transport-libp2p': { tag: 'driver' },
  'executor-wasm': { tag: 'driver' },
  'executor-docker': { tag: 'driver' },
  'executor-docker-gpu': { tag: 'gpu-driver' },
  'storage-https': { tag: 'driver' },
  api: { tag: 'api', entries: ['client'] },
}

export interface WorkspaceCopy extends Disposable {
  readonly root: string
  /** Adds a file; where it imports packages of the workspace, its own package.json declares them. */
  write(path: string, text: string): void
  writeUndeclared(path: string, text: string): void
  run(command: string, ...args: readonly string[]): { readonly code: number | null; readonly output: string }
}

/** A small workspace in a temporary directory: the real rules over packages that are empty until a test writes into them. */
export const workspaceCopy = (): WorkspaceCopy => {
  const root = mkdtempSync(join(tmpdir(), 'skrei-layers-'))
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const addPackage = (directory: string, name: string, tag: string, entries: readonly string[]): void => {
    const exports = Object.fromEntries(['index', ...entries].map((entry) => [entry === 'index' ? '.' : `./${entry}`, { '@skrei/source': `./src/${entry}.ts` }]))
    put(`${directory}/package.json`, JSON.stringify({ name, version: '0.1.0', type: 'module', exports, dependencies: {} }))
    put(`${directory}/turbo.json`, JSON.stringify({ extends: ['//'], tags: [tag] }))
    for (const entry of ['index', ...entries]) put(`${directory}/src/${entry}.ts`, `export const ${entry} = true\n`)
    mkdirSync(join(root, 'node_modules/@skrei'), { recursive: true })
    symlinkSync(join(root, directory), join(root, 'node_modules', name))
  }

  for (const file of ['turbo.json', 'biome.json', 'pnpm-workspace.yaml', 'scripts/purity.grit']) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    cpSync(join(repository, file), join(root, file))
  }
  put('package.json', JSON.stringify({ name: 'copy', private: true, packageManager: 'pnpm@12.21.0' }))
  for (const [name, { tag, entries = [] }] of Object.entries(floors)) addPackage(`packages/${name}`, `@skrei/${name}`, tag, entries)
  addPackage('apps/node', '@skrei/node', 'app', [])
  addPackage('examples/01-first', '@skrei/example-first', 'example', [])
  addPackage('benchmarks', '@skrei/benchmarks', 'benchmarks', [])

  return {
    root,
    writeUndeclared: put,
    write: (path, text) => {
      put(path, text)
      const manifest = join(root, ...path.split('/').slice(0, 2), 'package.json')
      const { dependencies, ...rest } = JSON.parse(readFileSync(manifest, 'utf8')) as { dependencies: Record<string, string> }
      for (const [, name] of text.matchAll(/'(@skrei\/[a-z0-9-]+)/g)) if (name) dependencies[name] = '^0.1.0'
      writeFileSync(manifest, JSON.stringify({ ...rest, dependencies }))
    },
    run: (command, ...args) => {
      const PATH = `${join(repository, 'node_modules/.bin')}:${process.env['PATH']}`
      const { status, stdout, stderr } = spawnSync(command, args, {
        cwd: root,
        encoding: 'utf8',
        env: { ...process.env, PATH, TURBO_TELEMETRY_DISABLED: '1', NO_COLOR: '1' },
      })
      return { code: status, output: `${stdout}${stderr}` }
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  }
}
