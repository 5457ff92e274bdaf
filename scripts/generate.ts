// Writes every generated file: `pnpm generate`. With --check, writes nothing and fails where one is stale.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorsPage } from './errors-page.ts'
import { machinesPage } from './machines-page.ts'
import { openApiFile } from './open-api-file.ts'
import { protocolPage } from './protocol-page.ts'

const generated: Readonly<Record<string, () => string>> = {
  'docs/errors.md': errorsPage,
  'docs/machines.md': machinesPage,
  'docs/protocol.md': protocolPage,
  'packages/api/openapi.json': openApiFile,
}

const root = process.cwd()
const current = (file: string): string | undefined => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

for (const [path, content] of Object.entries(generated)) {
  const file = join(root, path)
  const wanted = content()
  if (current(file) === wanted) continue
  if (process.argv.includes('--check')) {
    console.error(`${path} is stale: run pnpm generate`)
    process.exitCode = 1
  } else {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, wanted)
    console.log(`wrote ${path}`)
  }
}
