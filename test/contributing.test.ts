import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { repository } from './workspace-copy.ts'

/** The executor of CONTRIBUTING.md, put together as its reader would, after `edit`. */
const tutorial = (edit: (text: string) => string = (text) => text) => {
  const root = mkdtempSync(join(tmpdir(), 'skrei-tutorial-'))
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const blocks = readFileSync(join(repository, 'CONTRIBUTING.md'), 'utf8').matchAll(/^```ts\n\/\/ (\S+)\n([\s\S]*?)^```/gm)
  for (const [, path, text] of blocks) if (path && text) put(path, edit(text))
  put('package.json', JSON.stringify({ name: 'executor-toy', type: 'module' }))
  put(
    'tsconfig.json',
    JSON.stringify({
      extends: join(repository, 'tsconfig.base.json'),
      compilerOptions: { typeRoots: [join(repository, 'node_modules/@types')] },
      include: ['src', 'test'],
    }),
  )
  mkdirSync(join(root, 'node_modules/@skrei'), { recursive: true })
  for (const name of ['executor', 'job-spec']) symlinkSync(join(repository, 'packages', name), join(root, 'node_modules/@skrei', name))
  symlinkSync(join(repository, 'node_modules/vitest'), join(root, 'node_modules/vitest'))
  const run = (command: string, ...args: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync(join(repository, 'node_modules/.bin', command), args, {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1' },
    })
    return { code: status, output: `${stdout}${stderr}` }
  }
  return {
    types: () => run('tsc'),
    conformance: () => run('vitest', 'run', '--root', root, '--config', join(repository, 'vitest.config.ts')),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  }
}

test('the executor of CONTRIBUTING.md compiles and keeps the contract', () => {
  using toy = tutorial()
  expect(toy.types()).toEqual({ code: 0, output: '' })
  const { code, output } = toy.conformance()
  expect(output).toMatch(/Tests +\d+ passed/)
  expect(output).not.toMatch(/\d+ failed/)
  expect(code).toBe(0)
})

test('and does not, once it is broken as CONTRIBUTING.md says', () => {
  using toy = tutorial((text) =>
    text.replace("signal.addEventListener('abort', resolve, { once: true })", 'setTimeout(resolve, 200)').replaceAll('signal.aborted', 'false'),
  )
  const { code, output } = toy.conformance()
  expect(output).toMatch(/toy keeps the executor contract > .*\n/)
  expect(output).toMatch(/\d+ failed/)
  expect(code).toBe(1)
})
