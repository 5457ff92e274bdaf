// Runs the smallest program of every published library's README the way a stranger would: an empty project, the packed tarballs, plain `node`.
// The first ```ts block under "## Smallest program" must compile against the packed types and print exactly the ```text block that follows it.
// A package with commands is installed in the same way, and each command must print the package's version when asked to.
// A program that needs a Docker engine says so in its section (`<!-- needs: docker -->`): without one it is skipped, in CI it fails.
// What is installed must hold the licences (LICENSE-*) as they stand at the root.
// `node scripts/check-readmes.ts [package…]`; the packages must have been built.
import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly exports?: Readonly<Record<string, unknown>>
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
}

interface Package {
  readonly directory: string
  readonly manifest: Manifest
  readonly readme: string
}

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const root = process.cwd()
const typeRoots = join(import.meta.dirname, '../node_modules/@types')

const execute = (file: string, args: readonly string[], cwd: string): Promise<Outcome> =>
  new Promise((resolve) => {
    const child = execFile(file, args, { cwd, timeout: 120_000, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({
        code: error ? (typeof error.code === 'number' ? error.code : 1) : 0,
        stdout,
        stderr: error?.killed ? `${stderr}\nstopped after two minutes` : stderr,
      })
    })
    child.stdin?.end()
  })

const readPackages = async (): Promise<readonly Package[]> => {
  const found: Package[] = []
  for (const file of globSync('{packages,apps}/*/package.json', { cwd: root }).sort()) {
    const manifest = JSON.parse(await readFile(join(root, file), 'utf8')) as Manifest
    const directory = join(root, dirname(file))
    if (!manifest.private) found.push({ directory, manifest, readme: await readFile(join(directory, 'README.md'), 'utf8').catch(() => '') })
  }
  return found
}

/** The package and those of the workspace that it needs, directly or not. */
const closure = (name: string, packages: ReadonlyMap<string, Package>): readonly string[] => {
  const names = new Set([name])
  for (const next of names) {
    for (const dependency of Object.keys(packages.get(next)?.manifest.dependencies ?? {})) if (packages.has(dependency)) names.add(dependency)
  }
  return [...names]
}

const smallestProgram = (readme: string): { program: string; prints: string; needsDocker: boolean } | undefined => {
  const section = /^## Smallest program\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(readme)?.[1]
  const blocks = section && /^```ts\n([\s\S]*?)^```\n\s*```text\n([\s\S]*?)^```/m.exec(section)
  return blocks?.[1] !== undefined && blocks[2] !== undefined
    ? { program: blocks[1], prints: blocks[2], needsDocker: section?.includes('<!-- needs: docker -->') === true }
    : undefined
}

type Project = { readonly folder: string; readonly subject: Package }

/** An empty project with the packed package in it, and of the workspace only what that package needs. */
const install = async (
  { folder, subject }: Project,
  packages: ReadonlyMap<string, Package>,
  tarballs: ReadonlyMap<string, string>,
): Promise<string | undefined> => {
  await mkdir(folder)
  const dependencies = Object.fromEntries(closure(subject.manifest.name, packages).map((name) => [name, `file:${tarballs.get(name)}`]))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }))
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock', '--loglevel=error']
  const { code, stdout, stderr } = await execute('npm', ['install', ...flags], folder)
  return code === 0 ? undefined : `npm install failed:\n${stdout}${stderr}`
}

const licences = globSync('LICENSE-*', { cwd: root })

const compareLicences = async ({ folder, subject: { manifest } }: Project): Promise<string | undefined> => {
  for (const name of licences) {
    const packed = await readFile(join(folder, 'node_modules', manifest.name, name), 'utf8').catch(() => undefined)
    if (packed === undefined) return `the tarball holds no ${name}: build the package, and let "files" in its package.json name LICENSE-*`
    if (packed !== (await readFile(join(root, name), 'utf8'))) return `the tarball's ${name} is not the one at the root: build the package`
  }
  return undefined
}

const runCommands = async ({ folder, subject: { manifest } }: Project): Promise<string | undefined> => {
  for (const name of Object.keys(manifest.bin ?? {})) {
    const { code, stdout, stderr } = await execute(process.execPath, [join('node_modules/.bin', name), '--version'], folder)
    if (code !== 0 || stdout !== `${manifest.version}\n`) return `${name} --version ended with ${code} and printed\n${stdout}${stderr}`
  }
  return undefined
}

const runProgram = async ({ folder, subject }: Project): Promise<string | undefined> => {
  const example = smallestProgram(subject.readme)
  if (!example) return 'README.md has no "## Smallest program" with a ```ts block directly followed by a ```text block'
  await writeFile(join(folder, 'program.ts'), example.program)

  const flags =
    '--noEmit --strict --skipLibCheck --target es2024 --lib es2024,esnext.disposable,esnext.iterator,esnext.collection --module nodenext --types node'
  const types = await execute('tsc', [...flags.split(' '), '--typeRoots', typeRoots, 'program.ts'], folder)
  if (types.code !== 0) return `the program does not compile:\n${types.stdout}${types.stderr}`

  if (example.needsDocker && (await execute('docker', ['version'], folder)).code !== 0) {
    if (process.env['CI'] === 'true') return 'the program needs a Docker engine, and none answers: bash scripts/ci-machine'
    console.log(`skipped ${subject.manifest.name}: its program compiles and was not run, as no Docker engine answers; run: sudo bash scripts/ci-machine`)
    return undefined
  }
  const { code, stdout, stderr } = await execute(process.execPath, ['program.ts'], folder)
  if (code !== 0) return `the program ended with ${code}:\n${stdout}${stderr}`
  if (stdout !== example.prints) return `the program printed\n${stdout}where README.md says\n${example.prints}${stderr}`
  return undefined
}

const isLibrary = ({ manifest }: Package): boolean => manifest.exports?.['.'] !== undefined

const found = await readPackages()
const packages = new Map(found.map((item) => [item.manifest.name, item]))
const asked = process.argv.slice(2)
const subjects = found.filter(({ manifest }) => asked.length === 0 || asked.includes(manifest.name) || asked.includes(manifest.name.replace(/^@skrei\//, '')))
const folder = await mkdtemp(join(tmpdir(), 'skrei-readmes-'))
try {
  const pack = await execute(
    'npm',
    ['pack', '--ignore-scripts', '--json', '--loglevel=error', '--pack-destination', folder, ...found.map(({ directory }) => directory)],
    folder,
  )
  if (pack.code !== 0) throw new Error(`npm pack failed:\n${pack.stdout}${pack.stderr}`)
  const packed: unknown = JSON.parse(pack.stdout)
  const entries = Object.values(packed as Readonly<Record<string, { name: string; filename: string }>>)
  const tarballs = new Map(entries.map(({ name, filename }) => [name, join(folder, filename)]))

  // Two at a time: installing waits for the disk, compiling for the processor.
  const queue = subjects.entries()
  const worker = async (): Promise<void> => {
    for (const [index, subject] of queue) {
      const start = performance.now()
      const project = { folder: join(folder, `project-${index}`), subject }
      const problem =
        (await install(project, packages, tarballs)) ??
        (await compareLicences(project)) ??
        (await runCommands(project)) ??
        (isLibrary(subject) ? await runProgram(project) : undefined)
      const seconds = ((performance.now() - start) / 1000).toFixed(1)
      console.log(`${problem ? 'FAILED' : 'ok    '} ${subject.manifest.name.padEnd(28)} ${seconds.padStart(6)} s`)
      if (problem) {
        console.log(problem.trimEnd())
        process.exitCode = 1
      }
    }
  }
  await Promise.all([worker(), worker()])
  if (subjects.length === 0) throw new Error(`no such package: ${asked.join(', ')}`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
