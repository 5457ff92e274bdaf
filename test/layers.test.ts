import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { repository, type WorkspaceCopy, workspaceCopy } from './workspace-copy.ts'

const layers = (copy: WorkspaceCopy) => copy.run('node', join(repository, 'scripts/check-layers.ts'), copy.root)
const boundaries = (copy: WorkspaceCopy) => copy.run('turbo', 'boundaries')

test('a workspace that keeps the rules passes', () => {
  using copy = workspaceCopy()
  copy.write(
    'packages/executor-wasm/src/run.ts',
    "import { readFile } from 'node:fs/promises'\nimport '@skrei/executor'\nimport type {} from '@skrei/job-spec'\nvoid readFile\n",
  )
  copy.write(
    'packages/scheduler/src/kernel.ts',
    "import { createHash } from 'node:crypto'\nimport '@skrei/state-store'\nimport '@skrei/verifier'\nvoid createHash\n",
  )
  copy.write('packages/scheduler/src/simulation/network.ts', "import '@skrei/transport/memory'\nimport '@skrei/executor/noop'\n")
  copy.write('packages/transport-libp2p/src/peers.ts', "import '@skrei/transport'\nimport '@skrei/protocol'\n")
  copy.write('apps/node/src/wiring.ts', "import '@skrei/scheduler'\nimport '@skrei/executor-wasm'\nimport '@skrei/state-store/sqlite'\n")
  expect(layers(copy)).toMatchObject({ code: 0, output: expect.stringContaining(' 0 problems') })
  expect(boundaries(copy)).toMatchObject({ code: 0, output: expect.stringContaining('no issues found') })
})

test.each([
  ['resolvable', 'packages/executor/src/bad.ts', "import './nowhere.ts'"],
  ['job-spec-is-the-ground-floor', 'packages/job-spec/src/bad.ts', "import '@skrei/protocol'"],
  ['protocol-knows-job-spec', 'packages/protocol/src/bad.ts', "import '@skrei/transport'"],
  ['contract-knows-job-spec', 'packages/executor/src/bad.ts', "import '@skrei/storage'"],
  ['contract-knows-job-spec', 'packages/state-store/src/bad.ts', "export type * from '@skrei/protocol'"],
  ['driver-knows-its-contract', 'packages/executor-wasm/src/bad.ts', "import '@skrei/executor-docker'"],
  ['driver-knows-its-contract', 'packages/executor-wasm/src/bad.ts', "import '@skrei/storage'"],
  ['driver-knows-its-contract', 'packages/storage-https/src/bad.ts', "import '@skrei/protocol'"],
  ['driver-knows-its-contract', 'packages/storage-https/src/bad.ts', "export const load = () => import('@skrei/scheduler')"],
  ['transport-driver-knows-protocol', 'packages/transport-libp2p/src/bad.ts', "import '@skrei/storage'"],
  ['verifier-knows-protocol', 'packages/verifier/src/bad.ts', "import '@skrei/state-store'"],
  ['api-knows-protocol', 'packages/api/src/bad.ts', "import '@skrei/scheduler'"],
  ['scheduler-knows-no-driver', 'packages/scheduler/src/bad.ts', "import '@skrei/executor-wasm'"],
  ['scheduler-knows-no-built-in-driver', 'packages/scheduler/src/bad.ts', "import '@skrei/state-store/sqlite'"],
  ['scheduler-knows-no-built-in-driver', 'packages/scheduler/src/bad.ts', "import '@skrei/storage/local'"],
  ['scheduler-knows-no-built-in-driver', 'packages/scheduler/src/bad.ts', "import '@skrei/transport/memory'"],
  ['simulation-is-in-memory', 'packages/scheduler/src/simulation/bad.ts', "import '@skrei/storage/local'"],
  ['kernel-knows-no-simulation', 'packages/scheduler/src/bad.ts', "import './simulation/network.ts'"],
  ['scheduler-and-verifier-are-pure', 'packages/scheduler/src/bad.ts', "import 'node:fs'"],
  ['scheduler-and-verifier-are-pure', 'packages/scheduler/src/bad.ts', "import type { Socket } from 'node:net'\nexport type { Socket }"],
  ['scheduler-and-verifier-are-pure', 'packages/verifier/src/bad.ts', "export const load = () => import('node:timers/promises')"],
  ['portable-entry', 'packages/storage/src/index.ts', "import 'node:fs'"],
  ['portable-entry', 'packages/storage/src/index.ts', "export * from './bad.ts'"],
  ['portable-entry', 'packages/api/src/client.ts', "export * from './bad.ts'"],
  ['nothing-imports-an-app', 'packages/scheduler/src/bad.ts', "import '@skrei/node'"],
  ['nothing-imports-an-example', 'apps/node/src/bad.ts', "import '@skrei/example-first'"],
  ['no-cycles', 'packages/executor/src/bad.ts', "import './noop.ts'"],
])('the layer check fails on %s in %s: %s', (rule, file, text) => {
  using copy = workspaceCopy()
  copy.write('packages/scheduler/src/simulation/network.ts', 'export {}\n')
  copy.write('packages/executor/src/noop.ts', "import './bad.ts'\n")
  copy.write('packages/executor/src/bad.ts', 'export {}\n')
  copy.write('packages/storage/src/bad.ts', "import 'node:fs'\n")
  copy.write('packages/api/src/bad.ts', "import 'node:fs'\n")
  copy.write(file, `${text}\n`)
  const { code, output } = layers(copy)
  expect(output).toContain(
    `error ${rule}: ${rule === 'portable-entry' && text.includes('bad') ? file.replace(/[a-z]+\.ts$/, 'bad.ts') : rule === 'no-cycles' ? '' : file}`,
  )
  expect(code).toBe(1)
})

// turbo names the two packages; the layer check above names the file.
test.each([
  ['job-spec', '@skrei/protocol'],
  ['protocol', '@skrei/transport'],
  ['executor', '@skrei/storage'],
  ['executor-wasm', '@skrei/storage-https'],
  ['executor-wasm', '@skrei/scheduler'],
  ['verifier', '@skrei/executor'],
  ['scheduler', '@skrei/executor-wasm'],
  ['api', '@skrei/scheduler'],
  ['api', '@skrei/node'],
])('turbo boundaries fails where %s depends on %s', (name, dependency) => {
  using copy = workspaceCopy()
  copy.write(`packages/${name}/src/bad.ts`, `import '${dependency}'\n`)
  const { code, output } = boundaries(copy)
  expect(output).toContain(`\`${dependency}\``)
  expect(output).toContain(`\`@skrei/${name}\``)
  expect(code).not.toBe(0)
})

test('turbo boundaries fails on an import that package.json does not declare', () => {
  using copy = workspaceCopy()
  copy.write('packages/executor/src/bad.ts', "import '@skrei/job-spec'\n")
  expect(boundaries(copy).code).toBe(0)
  copy.writeUndeclared('packages/executor/src/bad.ts', "import '@skrei/job-spec'\nimport 'zod'\n")
  const { code, output } = boundaries(copy)
  expect(output).toContain('packages/executor/src/bad.ts')
  expect(code).not.toBe(0)
})

test('turbo boundaries fails on a relative import into another package', () => {
  using copy = workspaceCopy()
  copy.write('packages/storage/src/bad.ts', "import '../../job-spec/src/index.ts'\n")
  const { code, output } = boundaries(copy)
  expect(output).toContain('packages/storage/src/bad.ts')
  expect(code).not.toBe(0)
})

test.each([
  ['Date.now()', 'noRestrictedGlobals'],
  ['new Date(0)', 'noRestrictedGlobals'],
  ['performance.now()', 'noRestrictedGlobals'],
  ['setTimeout(() => {}, 1)', 'noRestrictedGlobals'],
  ['setInterval(() => {}, 1)', 'noRestrictedGlobals'],
  ['process.pid', 'noRestrictedGlobals'],
  ['globalThis.Date', 'noRestrictedGlobals'],
  ['crypto.randomUUID()', 'noRestrictedGlobals'],
  ["fetch('https://example.org')", 'noRestrictedGlobals'],
  ['console.log(1)', 'noConsole'],
  ['Math.random()', 'plugin'],
  ["Math['random']()", 'plugin'],
  ['AbortSignal.timeout(1)', 'plugin'],
  ["import('node:crypto')", 'noRestrictedImports'],
])('the linter fails on %s in the scheduler and in the verifier', (expression, rule) => {
  using copy = workspaceCopy()
  const files = ['packages/scheduler/src/bad.ts', 'packages/verifier/src/bad.ts']
  for (const file of files) copy.write(file, `export const bad: unknown = ${expression}\n`)
  // The same is fine in a driver, the console apart.
  copy.write('packages/executor-wasm/src/fine.ts', `export const fine: unknown = ${expression}\n`)
  const { code, output } = copy.run('biome', 'lint', '--vcs-enabled=false', '--error-on-warnings', 'packages')
  for (const file of files) expect(output).toMatch(new RegExp(`^${file}:.*${rule}`, 'm'))
  if (rule !== 'noConsole') expect(output).not.toMatch(/fine\.ts:.*(plugin|noRestricted)/)
  expect(code).not.toBe(0)
})

test.each([
  ['any', 'export const bad = (value: any): void => void value\n', 'noExplicitAny'],
  ['a promise that nobody awaits', 'const later = async (): Promise<void> => {}\nexport const bad = (): void => {\n  later()\n}\n', 'noFloatingPromises'],
  ['a default export', 'export default 1\n', 'noDefaultExport'],
  ['an unused import', "import { readFile } from 'node:fs'\n", 'noUnusedImports'],
  ['a module of Node without its prefix', "import { readFile } from 'fs'\nexport const bad = readFile\n", 'useNodejsImportProtocol'],
  ['ts-ignore', '// @ts-ignore\nexport const bad: number = 1\n', 'noTsIgnore'],
  ['the console in a library', 'export const bad = (): void => console.log(1)\n', 'noConsole'],
])('the linter fails on %s', (_what, text, rule) => {
  using copy = workspaceCopy()
  copy.write('packages/storage/src/bad.ts', text)
  const { code, output } = copy.run('biome', 'lint', '--vcs-enabled=false', '--error-on-warnings', 'packages')
  expect(output).toMatch(new RegExp(`^packages/storage/src/bad\\.ts:.*${rule}`, 'm'))
  expect(code).not.toBe(0)
})

const floorOf = (directory: string): string => {
  const name = directory.replace(/^packages\//, '')
  if (directory.startsWith('apps/')) return 'app'
  if (directory.startsWith('examples/')) return 'example'
  if (/^(transport|executor|storage|state-store)$/.test(name)) return 'contract'
  if (/^(transport|executor|storage|state-store)-/.test(name)) return 'driver'
  return name
}

test.each(globSync('{packages,apps,examples}/*/', { cwd: repository }).sort())('%s carries the tag of its floor', (directory) => {
  const { tags } = JSON.parse(readFileSync(join(repository, directory, 'turbo.json'), 'utf8')) as { tags: readonly string[] }
  expect(tags).toEqual([floorOf(directory)])
})
