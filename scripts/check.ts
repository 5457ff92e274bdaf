// Everything that CI checks besides the tests: `pnpm check`, or `pnpm check <step>…` for some of it.
import { spawn } from 'node:child_process'
import { styleText } from 'node:util'

interface Step {
  readonly name: string
  readonly command: readonly [string, ...string[]]
}

const steps: readonly Step[] = [
  { name: 'lint', command: ['biome', 'ci', '--error-on-warnings', '--colors=off', '.'] },
  { name: 'boundaries', command: ['turbo', 'boundaries'] },
  { name: 'layers', command: ['node', 'scripts/check-layers.ts'] },
  { name: 'manifests', command: ['node', 'scripts/check-manifests.ts'] },
  { name: 'types', command: ['turbo', 'run', 'check:types', '--continue', '--output-logs=errors-only'] },
  { name: 'unused', command: ['knip', '--no-config-hints'] },
  { name: 'generated', command: ['node', '--conditions=@skrei/source', 'scripts/generate.ts', '--check'] },
  { name: 'changeset', command: ['node', 'scripts/check-changeset.ts'] },
  { name: 'packages', command: ['turbo', 'run', 'check:package', '--continue', '--output-logs=errors-only'] },
  { name: 'readmes', command: ['node', 'scripts/check-readmes.ts'] },
]

const environment = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: '1',
  // `attw --pack` runs `npm pack`, whose prepack script would build again what turbo has just built.
  npm_config_ignore_scripts: 'true',
  NO_COLOR: '1',
}

const run = ({ command: [program, ...args] }: Step): Promise<{ passed: boolean; output: string }> =>
  new Promise((resolve) => {
    const child = spawn(program, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      output += text
    })
    child.on('error', (error) => resolve({ passed: false, output: `${output}${error.message}\n` }))
    child.on('close', (code) => resolve({ passed: code === 0, output }))
  })

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  console.error(`No such step: ${unknown.join(', ')}. Steps: ${steps.map((step) => step.name).join(', ')}.`)
  process.exit(2)
}

const failed: string[] = []
for (const step of steps.filter(({ name }) => asked.length === 0 || asked.includes(name))) {
  const start = performance.now()
  const { passed, output } = await run(step)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(
    `${passed ? styleText('green', 'ok    ') : styleText('red', 'FAILED')} ${step.name.padEnd(10)} ${seconds.padStart(6)} s   ${step.command.join(' ')}`,
  )
  if (!passed) {
    failed.push(step.name)
    console.log(output.trimEnd())
  } else {
    // A step that skips something says so in a line that starts with "skipped".
    for (const line of output.split('\n').filter((text) => text.startsWith('skipped'))) console.log(`       ${line}`)
  }
}

if (failed.length > 0) {
  console.log(`\nFailed: ${failed.join(', ')}. Run one alone with: pnpm check ${failed[0]}`)
  process.exitCode = 1
}
