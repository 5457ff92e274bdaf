import { expect, test } from 'vitest'
import { calledAs } from '../src/called-as.ts'
import { place } from './command-line.ts'

const pnpm = { npm_command: 'run-script', npm_config_user_agent: 'pnpm/12.21.0 npm/? node/? linux x64' }
const npm = { npm_config_user_agent: 'npm/11.1.0 node/v24.0.0 linux x64' }

test.each([
  ['installed', {}, 'skrei'],
  ['by npx', { ...npm, npm_command: 'exec', npm_lifecycle_event: 'npx' }, 'npx skrei'],
  ['in a checkout', { ...pnpm, npm_lifecycle_event: 'skrei', npm_execpath: '/usr/lib/pnpm' }, 'pnpm --silent skrei'],
  [
    'in a checkout, by a pnpm of npx',
    { ...pnpm, npm_lifecycle_event: 'skrei', npm_execpath: '/root/.npm/_npx/0390/node_modules/pnpm/pnpm' },
    'npx -y pnpm@12.21.0 --silent skrei',
  ],
  ['by a script of the user', { ...npm, npm_command: 'run-script', npm_lifecycle_event: 'jobs' }, 'skrei'],
])('what is to be typed next is what was typed: %s', (_, environment, expected) => {
  expect(calledAs(environment)).toBe(expected)
})

test('a command that names another one, or a remedy with one in it, names it as the user runs it', async () => {
  using here = place({ ...npm, npm_command: 'exec', npm_lifecycle_event: 'npx' })
  const written = await here.start('spec', 'init', 'job.yaml').ended
  expect(written.stdout).toBe('wrote job.yaml\nnext: npx skrei run job.yaml\n')
  const refused = await here.start('job', 'list').ended
  expect(refused.stderr).toContain('→ Start one with `npx skrei node start`;')
})
