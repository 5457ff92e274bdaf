import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
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
  copy.write('packages/storage/src/entry.ts', "import type { Tree } from './tree.ts'\nexport type Entry = Tree | string\n")
  copy.write('packages/storage/src/tree.ts', "import type { Entry } from './entry.ts'\nexport type Tree = readonly Entry[]\n")
  copy.write('packages/scheduler/src/simulation/network.ts', "import '@skrei/transport/memory'\nimport '@skrei/executor/noop'\n")
  copy.write('packages/transport-libp2p/src/peers.ts', "import '@skrei/transport'\nimport '@skrei/protocol'\n")
  copy.write('packages/executor-docker-gpu/src/inventory.ts', "import '@skrei/executor'\nimport '@skrei/executor-docker'\n")
  copy.write('apps/node/src/wiring.ts', "import '@skrei/scheduler'\nimport '@skrei/executor-wasm'\nimport '@skrei/state-store/sqlite'\n")
  expect(layers(copy)).toMatchObject({ code: 0, output: expect.stringContaining(' 0 problems') })
  expect(boundaries(copy)).toMatchObject({ code: 0, output: expect.stringContaining('no issues found') })
})

/** Rule, file that breaks it, what the file says. */
const violations = [
  ['resolvable', 'packages/executor/src/nowhere.ts', "import './missing.ts'"],
  ['job-spec-is-the-ground-floor', 'packages/job-spec/src/bad.ts', "import '@skrei/protocol'"],
  ['protocol-knows-job-spec', 'packages/protocol/src/bad.ts', "import '@skrei/transport'"],
  ['contract-knows-job-spec', 'packages/executor/src/bad.ts', "import '@skrei/storage'"],
  ['contract-knows-job-spec', 'packages/state-store/src/bad.ts', "export type * from '@skrei/protocol'"],
  ['driver-knows-its-contract', 'packages/executor-wasm/src/driver.ts', "import '@skrei/executor-docker'"],
  ['driver-knows-its-contract', 'packages/executor-wasm/src/contract.ts', "import '@skrei/storage'"],
  ['driver-knows-its-contract', 'packages/storage-https/src/protocol.ts', "import '@skrei/protocol'"],
  ['driver-knows-its-contract', 'packages/storage-https/src/scheduler.ts', "export const load = () => import('@skrei/scheduler')"],
  ['gpu-builds-on-docker', 'packages/executor-docker-gpu/src/bad.ts', "import '@skrei/executor-wasm'"],
  ['transport-driver-knows-protocol', 'packages/transport-libp2p/src/bad.ts', "import '@skrei/storage'"],
  ['verifier-knows-protocol', 'packages/verifier/src/bad.ts', "import '@skrei/state-store'"],
  ['api-knows-protocol', 'packages/api/src/bad.ts', "import '@skrei/scheduler'"],
  ['scheduler-knows-no-driver', 'packages/scheduler/src/driver.ts', "import '@skrei/executor-wasm'"],
  ['scheduler-knows-no-built-in-driver', 'packages/scheduler/src/sqlite.ts', "import '@skrei/state-store/sqlite'"],
  ['scheduler-knows-no-built-in-driver', 'packages/scheduler/src/local.ts', "import '@skrei/storage/local'"],
  ['scheduler-knows-no-built-in-driver', 'packages/scheduler/src/memory.ts', "import '@skrei/transport/memory'"],
  ['simulation-is-in-memory', 'packages/scheduler/src/simulation/bad.ts', "import '@skrei/storage/local'"],
  ['kernel-knows-no-simulation', 'packages/scheduler/src/kernel/bad.ts', "import '../simulation/bad.ts'"],
  ['scheduler-and-verifier-are-pure', 'packages/scheduler/src/files.ts', "import 'node:fs'"],
  ['scheduler-and-verifier-are-pure', 'packages/scheduler/src/types.ts', "import type { Socket } from 'node:net'\nexport type { Socket }"],
  ['scheduler-and-verifier-are-pure', 'packages/verifier/src/timers.ts', "export const load = () => import('node:timers/promises')"],
  ['portable-entry', 'packages/transport/src/index.ts', "import 'node:fs'"],
  ['portable-entry', 'packages/api/src/hidden.ts', "import 'node:fs'"],
  ['nothing-imports-an-app', 'packages/scheduler/src/app.ts', "import '@skrei/node'"],
  ['nothing-imports-an-example', 'apps/node/src/bad.ts', "import '@skrei/example-first'"],
  ['nothing-imports-a-benchmark', 'apps/node/src/measured.ts', "import '@skrei/benchmarks'"],
  ['no-cycles', 'packages/executor/src/circle.ts', "import './noop.ts'"],
] as const

let layerReport: ReturnType<typeof layers>
beforeAll(() => {
  using copy = workspaceCopy()
  for (const [, file, text] of violations) copy.write(file, `${text}\n`)
  copy.write('packages/api/src/client.ts', "export * from './hidden.ts'\n")
  copy.write('packages/executor/src/noop.ts', "import './circle.ts'\n")
  layerReport = layers(copy)
})

test.each(violations)('the layer check fails on %s in %s', (rule, file) => {
  expect(layerReport.output).toContain(`error ${rule}: ${file} → `)
  expect(layerReport.code).toBe(1)
})

test('every rule of the layer check is broken above', () => {
  const rules = [...readFileSync(join(repository, 'scripts/check-layers.ts'), 'utf8').matchAll(/^ {4}name: '([a-z-]+)'/gm)].map(([, name]) => name)
  expect(new Set(violations.map(([rule]) => rule))).toEqual(new Set([...rules, 'portable-entry']))
})

test('the layer check fails where it finds nothing to check', () => {
  using copy = workspaceCopy()
  const { code, output } = copy.run('node', join(repository, 'scripts/check-layers.ts'), join(copy.root, 'apps'))
  expect(output).toContain('no source files')
  expect(code).not.toBe(0)
})

// turbo names the two packages; the layer check above names the file.
test.each([
  ['job-spec', '@skrei/protocol'],
  ['protocol', '@skrei/transport'],
  ['executor', '@skrei/storage'],
  ['executor-wasm', '@skrei/storage-https'],
  ['executor-wasm', '@skrei/scheduler'],
  ['executor-docker-gpu', '@skrei/scheduler'],
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

const impurities = [
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
] as const

const mistakes = [
  ['any', 'export const bad = (value: any): void => void value', 'noExplicitAny'],
  ['a promise that nobody awaits', 'const later = async (): Promise<void> => {}\nexport const bad = (): void => {\n  later()\n}', 'noFloatingPromises'],
  ['a default export', 'export default 1', 'noDefaultExport'],
  ['an unused import', "import { readFile } from 'node:fs'", 'noUnusedImports'],
  ['an unused variable', 'const bad = 1', 'noUnusedVariables'],
  ['a module of Node without its prefix', "import { readFile } from 'fs'\nexport const bad = readFile", 'useNodejsImportProtocol'],
  ['ts-ignore', '// @ts-ignore\nexport const bad: number = 1', 'noTsIgnore'],
  ['the console in a library', 'export const bad = (): void => console.log(1)', 'noConsole'],
] as const

let lintReport: ReturnType<WorkspaceCopy['run']>
beforeAll(() => {
  using copy = workspaceCopy()
  for (const [index, [expression]] of impurities.entries()) {
    // Fine in a driver, the console apart; wrong where clock, randomness and effects are handed in.
    for (const name of ['scheduler', 'verifier', 'executor-wasm'])
      copy.write(`packages/${name}/src/impure-${index}.ts`, `export const impure: unknown = ${expression}\n`)
  }
  for (const [index, [, text]] of mistakes.entries()) copy.write(`packages/storage/src/mistake-${index}.ts`, `${text}\n`)
  lintReport = copy.run('biome', 'lint', '--vcs-enabled=false', '--error-on-warnings', '--max-diagnostics=none', 'packages')
})

test.each(impurities.map(([expression, rule], index) => [expression, rule, index] as const))(
  'the linter fails on %s in scheduler and verifier',
  (_expression, rule, index) => {
    const found = (name: string) => new RegExp(`^packages/${name}/src/impure-${index}\\.ts:.*${rule}`, 'm')
    for (const name of ['scheduler', 'verifier']) expect(lintReport.output).toMatch(found(name))
    if (rule !== 'noConsole') expect(lintReport.output).not.toMatch(found('executor-wasm'))
    expect(lintReport.code).toBe(1)
  },
)

test.each(mistakes.map(([what, , rule], index) => [what, rule, index] as const))('the linter fails on %s', (_what, rule, index) => {
  expect(lintReport.output).toMatch(new RegExp(`^packages/storage/src/mistake-${index}\\.ts:.*${rule}`, 'm'))
})

const floorOf = (directory: string): string => {
  const name = directory.replace(/^packages\//, '')
  if (directory.startsWith('apps/')) return 'app'
  if (directory.startsWith('examples/')) return 'example'
  if (directory === 'benchmarks') return 'benchmarks'
  if (/^(transport|executor|storage|state-store)$/.test(name)) return 'contract'
  if (name === 'executor-docker-gpu') return 'gpu-driver'
  if (/^(transport|executor|storage|state-store)-/.test(name)) return 'driver'
  return name
}

test.each(globSync(['{packages,apps,examples}/*/', 'benchmarks'], { cwd: repository }).sort())('%s carries the tag of its floor', (directory) => {
  const { tags } = JSON.parse(readFileSync(join(repository, directory, 'turbo.json'), 'utf8')) as { tags: readonly string[] }
  expect(tags).toEqual([floorOf(directory)])
})
