import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Suite } from './suite.ts'

const folder = join(import.meta.dirname, 'suites')

export const suiteNames = (): readonly string[] =>
  globSync('*.ts', { cwd: folder })
    .map((file) => basename(file, '.ts'))
    .sort()

export const loadSuite = async (name: string): Promise<Suite> => {
  const { suite } = (await import(pathToFileURL(join(folder, `${name}.ts`)).href)) as { readonly suite?: Suite }
  if (suite?.name !== name) throw new Error(`suites/${name}.ts exports no suite of its name`)
  return suite
}
