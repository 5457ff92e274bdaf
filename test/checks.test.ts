import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { repository } from './workspace-copy.ts'

/** A temporary directory with files in it, and a way to run one of the repository's scripts there. */
const directory = (files: Readonly<Record<string, string>>) => {
  const root = mkdtempSync(join(tmpdir(), 'skrei-checks-'))
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  for (const [path, text] of Object.entries(files)) write(path, text)
  const environment: NodeJS.ProcessEnv = { ...process.env, PATH: `${join(repository, 'node_modules/.bin')}:${process.env['PATH']}`, NO_COLOR: '1', HOME: root }
  for (const name of ['CHECK_BASE', 'GITHUB_BASE_REF']) delete environment[name]
  const run = (command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8', env: { ...environment, ...env } })
    return { code: status, stdout, output: `${stdout}${stderr}` }
  }
  return {
    write,
    read: (path: string) => readFileSync(join(root, path), 'utf8'),
    git: (...args: readonly string[]) => run('git', ['-c', 'user.name=test', '-c', 'user.email=test@example.org', ...args]),
    script: (name: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) => run('node', [join(repository, 'scripts', name), ...args], env),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  }
}

const manifest = (name: string, fields: object = {}): string =>
  JSON.stringify({
    name,
    version: '0.1.0',
    type: 'module',
    files: ['dist'],
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
    ...fields,
  })

const readme = (program: string, prints: string): string =>
  `# Package\n\n## Smallest program\n\n\`\`\`ts\n${program}\n\`\`\`\n\n\`\`\`text\n${prints}\n\`\`\`\n\n## Limits\n\nNone.\n`

const greeter = {
  'packages/greeter/package.json': manifest('@skrei/greeter', { dependencies: { '@skrei/words': '^0.1.0' } }),
  'packages/greeter/dist/index.js': "import { word } from '@skrei/words'\nexport const greet = (name) => word + ' ' + name\n",
  'packages/greeter/dist/index.d.ts': 'export declare const greet: (name: string) => string\n',
  'packages/greeter/README.md': readme("import { greet } from '@skrei/greeter'\n\nconsole.log(greet('world'))", 'hello world'),
  'packages/words/package.json': manifest('@skrei/words'),
  'packages/words/dist/index.js': "export const word = 'hello'\n",
  'packages/words/dist/index.d.ts': 'export declare const word: string\n',
  'packages/words/README.md': readme("import { word } from '@skrei/words'\n\nconsole.log(word)", 'hello'),
}

test('README programs that print what their README says pass', () => {
  using place = directory(greeter)
  expect(place.script('check-readmes.ts')).toMatchObject({ code: 0, output: expect.not.stringContaining('FAILED') })
})

test('a README program that is missing, wrong or not self-contained fails the check, each by name', () => {
  using place = directory({
    ...greeter,
    'packages/greeter/README.md': readme("import { greet } from '@skrei/greeter'\n\nconsole.log(greet('world'))", 'hello worlds'),
    'packages/words/README.md': readme("import { greet } from '@skrei/greeter'\n\nconsole.log(greet('world'))", 'hello world'),
    'packages/types/package.json': manifest('@skrei/types', { dependencies: { '@skrei/words': '^0.1.0' } }),
    'packages/types/README.md': readme("import { word } from '@skrei/words'\n\nconst count: number = word\nconsole.log(count)", 'hello'),
    'packages/throws/package.json': manifest('@skrei/throws'),
    'packages/throws/README.md': readme("throw new Error('broken')\nexport {}", ''),
    'packages/silent/package.json': manifest('@skrei/silent'),
    'packages/silent/README.md': '# Package\n',
    'packages/unpacked/package.json': manifest('@skrei/unpacked', { files: ['src'] }),
    'packages/unpacked/dist/index.js': 'export const word = 1\n',
    'packages/unpacked/README.md': readme("import { word } from '@skrei/unpacked'\n\nconsole.log(word)", '1'),
  })
  place.write(
    'apps/tool/package.json',
    JSON.stringify({ name: '@skrei/tool', version: '0.1.0', type: 'module', files: ['dist'], bin: { tool: './dist/main.js' } }),
  )
  place.write('apps/tool/dist/main.js', "#!/usr/bin/env node\nimport '@skrei/words'\n")
  place.write(
    'apps/works/package.json',
    JSON.stringify({ name: '@skrei/works', version: '0.1.0', type: 'module', files: ['dist'], bin: { works: './dist/main.js' } }),
  )
  place.write('apps/works/dist/main.js', "#!/usr/bin/env node\nconsole.log('0.1.0')\n")
  const { code, output } = place.script('check-readmes.ts')
  const why = Object.fromEntries(output.split(/^(?=FAILED|ok )/m).map((part) => [/@skrei\/[a-z]+/.exec(part)?.[0], part]))
  expect(why).toMatchObject({
    '@skrei/greeter': expect.stringContaining('the program printed\nhello world\nwhere README.md says\nhello worlds\n'),
    '@skrei/words': expect.stringContaining("Cannot find module '@skrei/greeter'"),
    '@skrei/types': expect.stringContaining("Type 'string' is not assignable to type 'number'"),
    '@skrei/throws': expect.stringContaining('the program ended with 1'),
    '@skrei/tool': expect.stringContaining("Cannot find package '@skrei/words'"),
    '@skrei/works': expect.stringMatching(/^ok /),
    '@skrei/silent': expect.stringContaining('has no "## Smallest program"'),
    '@skrei/unpacked': expect.stringContaining("Cannot find module '@skrei/unpacked'"),
  })
  expect(code).toBe(1)
})

test('a tarball without the licences, or with others than those at the root, fails the check', () => {
  const words = { exports: undefined, files: ['LICENSE-*'] }
  using place = directory({
    'LICENSE-ONE': 'one\n',
    'LICENSE-TWO': 'two\n',
    'packages/whole/package.json': manifest('@skrei/whole', words),
    'packages/whole/LICENSE-ONE': 'one\n',
    'packages/whole/LICENSE-TWO': 'two\n',
    'packages/lacks/package.json': manifest('@skrei/lacks', words),
    'packages/lacks/LICENSE-ONE': 'one\n',
    'packages/hides/package.json': manifest('@skrei/hides', { exports: undefined }),
    'packages/hides/LICENSE-ONE': 'one\n',
    'packages/hides/LICENSE-TWO': 'two\n',
    'packages/differs/package.json': manifest('@skrei/differs', words),
    'packages/differs/LICENSE-ONE': 'one\n',
    'packages/differs/LICENSE-TWO': 'three\n',
  })
  const { code, output } = place.script('check-readmes.ts')
  const why = Object.fromEntries(output.split(/^(?=FAILED|ok )/m).map((part) => [/@skrei\/[a-z]+/.exec(part)?.[0], part]))
  expect(why).toMatchObject({
    '@skrei/whole': expect.stringMatching(/^ok /),
    '@skrei/lacks': expect.stringContaining('the tarball holds no LICENSE-TWO'),
    '@skrei/hides': expect.stringContaining('the tarball holds no LICENSE-ONE'),
    '@skrei/differs': expect.stringContaining("the tarball's LICENSE-TWO is not the one at the root"),
  })
  expect(code).toBe(1)
})

test('a dependency that only this workspace understands fails, and --fix takes the range of the catalog', () => {
  using place = directory({
    'pnpm-workspace.yaml': 'catalog:\n  zod: 4.6.7\n',
    'packages/a/package.json': manifest('@skrei/a', { dependencies: { zod: 'catalog:', '@skrei/b': '^0.1.0' } }),
    'packages/b/package.json': manifest('@skrei/b', { dependencies: { zod: '^4.0.0' } }),
    'packages/c/package.json': manifest('@skrei/c', { private: true, dependencies: { zod: 'catalog:' } }),
  })
  const { code, output } = place.script('check-manifests.ts')
  expect(output).toContain('packages/a/package.json: dependencies.zod is catalog:, not ^4.6.7')
  expect(output).toContain('packages/b/package.json: dependencies.zod is ^4.0.0, not ^4.6.7')
  expect(output).not.toContain('packages/c')
  expect(code).toBe(1)
  expect(place.script('check-manifests.ts', ['--fix'])).toMatchObject({ code: 0 })
  expect(place.script('check-manifests.ts')).toMatchObject({ code: 0, output: '' })
  place.write('packages/b/package.json', manifest('@skrei/b', { dependencies: { '@skrei/a': 'workspace:^' } }))
  expect(place.script('check-manifests.ts', ['--fix'])).toMatchObject({ code: 1, output: expect.stringContaining('dependencies.@skrei/a is workspace:^') })
})

const changed = () => {
  const place = directory({
    'package.json': JSON.stringify({ name: 'root', private: true, packageManager: 'pnpm@12.21.0' }),
    'pnpm-workspace.yaml': 'packages:\n  - packages/*\n',
    'pnpm-lock.yaml': "lockfileVersion: '9.0'\n",
    '.changeset/config.json': readFileSync(join(repository, '.changeset/config.json'), 'utf8'),
    'packages/a/package.json': manifest('@skrei/a'),
    'packages/a/src/index.ts': 'export const a = 1\n',
    'packages/b/package.json': manifest('@skrei/b'),
    'packages/b/src/index.ts': 'export const b = 1\n',
  })
  place.git('init', '-q', '-b', 'main')
  place.git('add', '.')
  place.git('commit', '-qm', 'first')
  place.git('checkout', '-qb', 'change')
  return place
}

test('a changed package without a changeset fails, and with one passes', () => {
  using place = changed()
  expect(place.script('check-changeset.ts')).toMatchObject({ code: 0 })
  place.write('packages/a/src/index.ts', 'export const a = 2\n')
  place.git('commit', '-qam', 'change')
  const { code, output } = place.script('check-changeset.ts')
  expect(output).toContain('@skrei/a differs from main')
  expect(output).not.toContain('@skrei/b')
  expect(code).toBe(1)
  place.write('.changeset/brave-cod.md', "---\n'@skrei/a': minor\n---\n\nCounts to two.\n")
  place.git('add', '.')
  place.git('commit', '-qm', 'describe')
  expect(place.script('check-changeset.ts')).toMatchObject({ code: 0, output: '' })
})

test('a changeset for one package does not cover another, and an empty one covers all', () => {
  using place = changed()
  place.write('packages/a/src/index.ts', 'export const a = 2\n')
  place.write('packages/b/src/index.ts', 'export const b = 2\n')
  place.write('.changeset/brave-cod.md', "---\n'@skrei/a': minor\n---\n\nCounts to two.\n")
  place.git('add', '.')
  place.git('commit', '-qm', 'change')
  expect(place.script('check-changeset.ts')).toMatchObject({ code: 1, output: expect.stringMatching(/^@skrei\/b differs/) })
  place.write('.changeset/calm-cod.md', '---\n---\n\nNothing to see.\n')
  place.git('add', '.')
  place.git('commit', '-qm', 'describe')
  expect(place.script('check-changeset.ts')).toMatchObject({ code: 0, output: '' })
})

test('a change that is not in the sources needs no changeset', () => {
  using place = changed()
  place.write('packages/a/README.md', '# a\n')
  place.git('add', '.')
  place.git('commit', '-qm', 'document')
  expect(place.script('check-changeset.ts')).toMatchObject({ code: 0 })
})

test('without a base branch the changeset check is skipped and says so; a base that was asked for must exist', () => {
  using place = changed()
  place.git('branch', '-D', 'main')
  expect(place.script('check-changeset.ts')).toMatchObject({ code: 0, output: expect.stringMatching(/^skipped: no base branch/) })
  expect(place.script('check-changeset.ts', [], { CHECK_BASE: 'origin/main' })).toMatchObject({ code: 1 })
})

const report = (fields: object): string =>
  JSON.stringify({ success: true, numPassedTests: 5, numFailedTests: 0, numPendingTests: 2, numTodoTests: 1, numFailedTestSuites: 0, ...fields })

test.each([
  ['all passed', report({}), 0, 'tests: 5 passed, 0 failed, 3 skipped'],
  ['one failed', report({ success: false, numPassedTests: 4, numFailedTests: 1 }), 1, 'tests: 4 passed, 1 failed, 3 skipped'],
  ['a file that does not load', report({ success: false, numFailedTestSuites: 1 }), 1, 'tests: 5 passed, 0 failed, 3 skipped'],
  ['nothing ran', report({ numPassedTests: 0 }), 1, 'tests: 0 passed, 0 failed, 3 skipped'],
  ['a torn report', '{"success": tr', 1, 'tests: 0 passed, 0 failed, 0 skipped'],
])('the closing line counts tests: %s', (_what, text, code, line) => {
  using place = directory({ 'report.json': text })
  const counted = place.script('test-counts.ts', ['report.json'])
  expect(counted.stdout).toBe(`${line}\n`)
  expect(counted.code).toBe(code)
})

test('a generated file that is missing or stale fails, until it is generated', () => {
  using place = directory({})
  const sources = { NODE_OPTIONS: '--conditions=@skrei/source' }
  const check = () => place.script('generate.ts', ['--check'], sources)
  const stale = (...files: readonly string[]) => ({ code: 1, output: files.map((file) => `${file} is stale: run pnpm generate\n`).join('') })
  expect(check()).toMatchObject(stale('docs/errors.md', 'docs/machines.md', 'docs/protocol.md', 'packages/api/openapi.json'))
  expect(place.script('generate.ts', [], sources)).toMatchObject({ code: 0 })
  expect(check()).toMatchObject({ code: 0, output: '' })
  place.write('docs/errors.md', place.read('docs/errors.md').replace('exit-nonzero', 'exit-zero'))
  expect(check()).toMatchObject(stale('docs/errors.md'))
})

test('pnpm check fails on a step that it does not know', () => {
  using place = directory({})
  expect(place.script('check.ts', ['nonsense'])).toMatchObject({ code: 2, output: expect.stringContaining('No such step: nonsense') })
})

test('a step that cannot start fails the whole check', () => {
  using place = directory({})
  const { code, output } = place.script('check.ts', ['types'], { PATH: dirname(process.execPath) })
  expect(output).toContain('FAILED types')
  expect(code).toBe(1)
})
