// A change to a published package against the base branch needs a changeset. The base: CHECK_BASE, a pull request's target, or main.
import { spawnSync } from 'node:child_process'

const git = (...args: string[]): string | undefined => {
  const { status, stdout } = spawnSync('git', args, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

const asked = process.env['CHECK_BASE'] ?? (process.env['GITHUB_BASE_REF'] ? `origin/${process.env['GITHUB_BASE_REF']}` : undefined)
const candidates = asked ? [asked] : ['origin/main', 'main']
const base = candidates.find((name) => git('merge-base', name, 'HEAD') !== undefined)

if (!base && asked) {
  console.error(`The base ${asked} is not in this clone: fetch it with its history (git fetch origin, or a checkout with depth 0).`)
  process.exitCode = 1
} else if (!base) {
  console.log(`skipped: no base branch to compare with (looked for ${candidates.join(', ')})`)
} else {
  const { status } = spawnSync('changeset', ['status', '--since', base], { stdio: 'inherit' })
  if (status !== 0) console.error('Describe the change for users of the package with: pnpm changeset (see .changeset/README.md)')
  process.exitCode = status ?? 1
}
