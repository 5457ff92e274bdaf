import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

const app = join(import.meta.dirname, '..')
let main: string | undefined
let folder: string | undefined

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

/** The program as it is published, built once for a test file: it starts in a fraction of the time that its sources take, and it is what users have. */
export const bundledMain = (): string => {
  if (main !== undefined) return main
  folder = mkdtempSync(join(tmpdir(), 'skrei-bundle-test-'))
  copyFileSync(join(app, 'package.json'), join(folder, 'package.json'))
  const tsup = join(app, '../../node_modules/tsup/dist/cli-default.js')
  execFileSync(process.execPath, [tsup, '--out-dir', join(folder, 'dist'), '--silent', '--on-success', 'true'], { cwd: app, stdio: 'pipe' })
  main = join(folder, 'dist/main.js')
  return main
}
