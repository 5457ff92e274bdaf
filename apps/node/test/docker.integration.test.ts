import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { place } from './command-line.ts'

const socket = 'unix:///var/run/docker.sock'

const engine = (...args: readonly string[]): string | undefined => {
  try {
    return execFileSync('docker', ['--host', socket, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}
const missing = engine('image', 'inspect', 'busybox') === undefined

// In CI it is there, or this fails.
const onEngine = missing && process.env['CI'] !== 'true' ? test.skip : test
const note = missing ? ' (skipped: no Docker engine answers, or it has no image busybox; run: sudo bash scripts/ci-machine)' : ''

onEngine(`a job in a container runs through the whole node, and leaves no container${note}`, async () => {
  using here = place({ DOCKER_HOST: socket })
  const { code, result, events } = await here.run(
    [
      'apiVersion: skrei/v1',
      'engine: { type: docker, image: busybox, pull: never, entrypoint: [sh, -c, "echo said; wc -w < /inputs/letter.txt > /outputs/words"] }',
      'inputs: [{ path: /inputs/letter.txt, source: { type: inline, text: "dear reader" } }]',
      'outputs: [{ name: outputs, path: /outputs }]',
      '',
    ].join('\n'),
  )
  expect([code, result.state]).toEqual([0, 'completed'])
  const shard = join(result.results?.path ?? '', 'shards', '0')
  expect(readFileSync(join(shard, 'stdout'), 'utf8')).toBe('said\n')
  expect(readFileSync(join(shard, 'outputs', 'outputs', 'words'), 'utf8').trim()).toBe('2')
  expect(events.length).toBeGreaterThan(0)
  here.clean()
  const specCid = /"specCid":"([^"]+)"/.exec(JSON.stringify(events))?.[1]
  expect(specCid).toBeDefined()
  expect(engine('ps', '--all', '--quiet', '--filter', `label=skrei.spec=${specCid}`)).toBe('')
})
