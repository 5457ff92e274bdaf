// Every published package that differs from the base branch needs a changeset that names it, or the change an empty one.
// The base: CHECK_BASE, a pull request's target, or main.
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'

interface Status {
  readonly changesets: readonly { readonly releases: readonly { readonly name: string }[] }[]
}

const git = (...args: string[]): string | undefined => {
  const { status, stdout } = spawnSync('git', args, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

const published = (directory: string): string | undefined => {
  try {
    const manifest = JSON.parse(readFileSync(`${directory}/package.json`, 'utf8')) as { name: string; private?: boolean }
    return manifest.private ? undefined : manifest.name
  } catch {
    return undefined // removed
  }
}

/** Published packages whose sources or package.json differ: the same files as `changedFilePatterns` in .changeset/config.json. */
const changedSince = (base: string): readonly string[] => {
  const files = git('diff', '--name-only', `${base}...HEAD`, '--', ...['packages', 'apps'].flatMap((top) => [`${top}/*/src/**`, `${top}/*/package.json`])) ?? ''
  const directories = new Set(files.split('\n').map((file) => file.split('/').slice(0, 2).join('/')))
  return [...directories].map(published).filter((name) => name !== undefined)
}

const changesetsSince = (base: string): Status['changesets'] => {
  const output = `.changeset/status-${process.pid}.json`
  try {
    spawnSync('changeset', ['status', '--since', base, '--output', output])
    return (JSON.parse(readFileSync(output, 'utf8')) as Status).changesets
  } catch {
    return [] // none: `changeset status` fails and writes nothing
  } finally {
    rmSync(output, { force: true })
  }
}

const asked = process.env['CHECK_BASE'] ?? (process.env['GITHUB_BASE_REF'] ? `origin/${process.env['GITHUB_BASE_REF']}` : undefined)
const candidates = asked ? [asked] : ['origin/main', 'main']
const base = candidates.find((name) => git('merge-base', name, 'HEAD') !== undefined)

if (!base && asked) {
  console.error(`The base ${asked} is not in this clone: fetch it with its history.`)
  process.exitCode = 1
} else if (!base) {
  console.log(`skipped: no base branch to compare with (looked for ${candidates.join(', ')})`)
} else {
  const changed = changedSince(base)
  const changesets = changed.length > 0 ? changesetsSince(base) : []
  const described = new Set(changesets.flatMap(({ releases }) => releases.map(({ name }) => name)))
  const missing = changesets.some(({ releases }) => releases.length === 0) ? [] : changed.filter((name) => !described.has(name))
  for (const name of missing) console.error(`${name} differs from ${base} and no changeset names it: pnpm changeset (see .changeset/README.md)`)
  process.exitCode = missing.length > 0 ? 1 : 0
}
