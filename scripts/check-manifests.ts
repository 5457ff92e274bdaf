// What a published package needs at run time stands in its package.json as a plain range, so that the tarball of `npm pack` installs anywhere:
// `catalog:` and `workspace:` mean nothing outside this workspace. The range is that of the catalog in pnpm-workspace.yaml, where versions live once.
// `node scripts/check-manifests.ts [--fix]`
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

interface Manifest {
  readonly private?: boolean
  readonly dependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
}

const root = process.cwd()
const { catalog } = parse(readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8')) as { catalog: Readonly<Record<string, string>> }
const fix = process.argv.includes('--fix')

for (const path of globSync('{packages,apps}/*/package.json', { cwd: root }).sort()) {
  const file = join(root, path)
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest
  if (manifest.private) continue
  let changed = false
  for (const field of ['dependencies', 'optionalDependencies', 'peerDependencies'] as const) {
    for (const [name, range] of Object.entries(manifest[field] ?? {})) {
      const shared = catalog[name]
      const wanted = field !== 'peerDependencies' && shared ? `^${shared}` : undefined
      const plain = !/^[a-z]+:/.test(range)
      if (plain && (wanted === undefined || range === wanted)) continue
      if (fix && wanted && manifest[field]) {
        manifest[field][name] = wanted
        changed = true
        continue
      }
      console.error(`${path}: ${field}.${name} is ${range}, not ${wanted ?? 'a plain range'}: node scripts/check-manifests.ts --fix`)
      process.exitCode = 1
    }
  }
  if (changed) writeFileSync(file, `${JSON.stringify(manifest, undefined, 2)}\n`)
}
