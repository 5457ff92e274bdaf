// Who may import whom, file by file: what the tags of `turbo boundaries` (turbo.json) cannot say. `node scripts/check-layers.ts [root]`
// The rules are those of docs/architecture.md. Paths are matched after resolution, so a package's name and a path into it are the same thing.
import { globSync } from 'node:fs'
import { resolve } from 'node:path'
import { cruise, type ICruiseResult, type IModule, type IRegularForbiddenRuleType } from 'dependency-cruiser'

const contracts = '(?:transport|executor|storage|state-store)'

const rules: readonly IRegularForbiddenRuleType[] = [
  {
    name: 'resolvable',
    comment: 'An import that leads nowhere is an import that no rule can check.',
    from: {},
    to: { couldNotResolve: true },
  },
  {
    name: 'no-cycles',
    comment: 'Files do not import each other in a circle. Types may: they are gone at run time.',
    from: {},
    to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
  },
  {
    name: 'job-spec-is-the-ground-floor',
    comment: 'job-spec imports no other package of the project.',
    from: { path: '^packages/job-spec/' },
    to: { path: '^(?:packages|apps|examples)/', pathNot: '^packages/job-spec/' },
  },
  {
    name: 'protocol-knows-job-spec',
    comment: 'protocol imports job-spec and no other package of the project.',
    from: { path: '^packages/protocol/' },
    to: { path: '^(?:packages|apps|examples)/', pathNot: '^packages/(?:protocol|job-spec)/' },
  },
  {
    name: 'contract-knows-job-spec',
    comment: 'A contract imports job-spec at most.',
    from: { path: `^packages/(${contracts})/` },
    to: { path: '^(?:packages|apps|examples)/', pathNot: '^packages/(?:$1|job-spec)/' },
  },
  {
    name: 'driver-knows-its-contract',
    comment: 'A driver imports its own contract and job-spec: no other contract, no other driver, no scheduler.',
    from: { path: '^packages/((executor|storage|state-store)-[a-z0-9-]+)/', pathNot: '^packages/executor-docker-gpu/' },
    to: { path: '^(?:packages|apps|examples)/', pathNot: '^packages/(?:$1|$2|job-spec)/' },
  },
  {
    name: 'gpu-builds-on-docker',
    comment: 'executor-docker-gpu is the one driver that builds on another: executor-docker.',
    from: { path: '^packages/executor-docker-gpu/' },
    to: { path: '^(?:packages|apps|examples)/', pathNot: '^packages/(?:executor-docker-gpu|executor-docker|executor|job-spec)/' },
  },
  {
    name: 'transport-driver-knows-protocol',
    comment: 'A transport driver imports its contract, job-spec and protocol.',
    from: { path: '^packages/(transport-[a-z0-9-]+)/' },
    to: { path: '^(?:packages|apps|examples)/', pathNot: '^packages/(?:$1|transport|job-spec|protocol)/' },
  },
  {
    name: 'verifier-knows-protocol',
    comment: 'verifier imports job-spec and protocol.',
    from: { path: '^packages/verifier/' },
    to: { path: '^(?:packages|apps|examples)/', pathNot: '^packages/(?:verifier|job-spec|protocol)/' },
  },
  {
    name: 'api-knows-protocol',
    comment: 'api imports job-spec and protocol.',
    from: { path: '^packages/api/' },
    to: { path: '^(?:packages|apps|examples)/', pathNot: '^packages/(?:api|job-spec|protocol)/' },
  },
  {
    name: 'scheduler-knows-no-driver',
    comment: 'scheduler imports contracts, verifier, protocol and job-spec: no driver.',
    from: { path: '^packages/scheduler/' },
    to: { path: '^(?:packages|apps|examples)/', pathNot: `^packages/(?:scheduler|${contracts}|verifier|protocol|job-spec)/` },
  },
  {
    name: 'scheduler-knows-no-built-in-driver',
    comment:
      "Of a contract package the scheduler imports the index only: not ./local, not ./sqlite, not ./memory. Its simulation builds on the contracts' memory drivers.",
    from: { path: '^packages/scheduler/src/', pathNot: '^packages/scheduler/src/simulation[./]' },
    to: { path: `^packages/${contracts}/`, pathNot: `^packages/${contracts}/src/index\\.ts$` },
  },
  {
    name: 'simulation-is-in-memory',
    comment: "The scheduler's simulation imports memory drivers and the noop engine: nothing that touches a disk.",
    from: { path: '^packages/scheduler/src/simulation[./]' },
    to: { path: `^packages/${contracts}/`, pathNot: `^packages/${contracts}/src/(?:index|memory|noop)\\.ts$` },
  },
  {
    name: 'kernel-knows-no-simulation',
    comment: 'What runs in a node does not import the simulation.',
    from: { path: '^packages/scheduler/src/', pathNot: '^packages/scheduler/src/(?:index|simulation)[./]' },
    to: { path: '^packages/scheduler/src/simulation[./]' },
  },
  {
    name: 'scheduler-and-verifier-are-pure',
    comment: 'scheduler and verifier do no I/O: of the modules of Node they may import node:crypto, for hashing. Mutants run in processes of their own.',
    from: { path: '^packages/(?:scheduler|verifier)/', pathNot: '^packages/scheduler/test/mutant-process\\.ts$' },
    to: { dependencyTypes: ['core'], pathNot: '^(?:node:)?crypto$' },
  },
  {
    name: 'nothing-imports-an-app',
    comment: 'apps put things together; nothing imports them.',
    from: { path: '^(?:packages|examples|benchmarks)/' },
    to: { path: '^apps/' },
  },
  {
    name: 'nothing-imports-an-example',
    comment: 'examples are read and run; nothing imports them.',
    from: { path: '^(?:packages|apps|benchmarks)/' },
    to: { path: '^examples/' },
  },
  {
    name: 'nothing-imports-a-benchmark',
    comment: 'benchmarks measure; nothing imports them.',
    from: { path: '^(?:packages|apps|examples)/' },
    to: { path: '^benchmarks/' },
  },
]

/** Entry points that also load where there is no Node: neither they nor what they import from their own package may import a module of Node. */
const portable = new RegExp(`^packages/(?:${contracts}/src/index|api/src/client)\\.ts$`)

const folderOf = (file: string): string => file.split('/').slice(0, 2).join('/')

const importsOfNode = (modules: ReadonlyMap<string, IModule>, entry: string): readonly string[] => {
  const found: string[] = []
  const seen = new Set([entry])
  for (const file of seen) {
    for (const dependency of modules.get(file)?.dependencies ?? []) {
      if (dependency.dependencyTypes.includes('core'))
        found.push(`error portable-entry: ${file} → ${dependency.module}\n      ${entry} must load without Node.`)
      else if (folderOf(dependency.resolved) === folderOf(entry)) seen.add(dependency.resolved)
    }
  }
  return found
}

const root = resolve(process.argv[2] ?? '.')
process.chdir(root)
const files = globSync('{packages/*,apps/*,examples/*,benchmarks}/src/**/*.ts').sort()
if (files.length === 0) throw new Error(`no source files under ${root}`)

const { output } = await cruise(
  files,
  {
    ruleSet: { forbidden: rules.map((rule) => ({ severity: 'error' as const, ...rule })) },
    validate: true,
    doNotFollow: { path: '(?:^|/)node_modules/' },
    tsPreCompilationDeps: true,
    parser: 'tsc',
    outputType: 'json',
  },
  { exportsFields: ['exports'], conditionNames: ['@skrei/source', 'node', 'import', 'default'], extensions: ['.ts', '.js', '.json'], bustTheCache: true },
)
const { modules, summary } = (typeof output === 'string' ? JSON.parse(output) : output) as ICruiseResult
const byName = new Map(modules.map((module) => [module.source, module]))

const problems = [
  // A cruise that cannot read TypeScript sees files without imports and passes: see that it did.
  ...files.filter((file) => !byName.has(file)).map((file) => `error not-checked: ${file} was not read`),
  ...summary.violations.map(({ rule, from, to, cycle }) => {
    const comment = rules.find(({ name }) => name === rule.name)?.comment ?? ''
    return `error ${rule.name}: ${from} → ${cycle ? cycle.map(({ name }) => name).join(' → ') : to}\n      ${comment}`
  }),
  ...files.filter((file) => portable.test(file)).flatMap((entry) => importsOfNode(byName, entry)),
]
const imports = modules.reduce((sum, module) => sum + module.dependencies.length, 0)
if (imports === 0) problems.push('error not-checked: no import was found in any file')

for (const problem of problems) console.log(problem)
console.log(`${files.length} files, ${imports} imports, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1
