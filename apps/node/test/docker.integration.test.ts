import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type JsonResult, place } from './command-line.ts'
import { engine, note, onEngine, socket } from './docker-engine.ts'
import { startNode } from './running-node.ts'

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

onEngine(`skrei docker runs an image on files of the current directory and of elsewhere, and keeps what it wrote${note}`, async () => {
  using here = place({ DOCKER_HOST: socket })
  here.write('letter.txt', 'dear reader')
  mkdirSync(join(here.jobs, '../elsewhere'))
  writeFileSync(join(here.jobs, '../elsewhere/numbers'), '1\n2\n')
  const command = 'echo "said $LEVEL"; wc -w < /inputs/letter.txt > /kept/words; cat /more/numbers > /kept/numbers; pwd > /kept/where'
  const flags = [
    '--input',
    'letter.txt',
    '--input',
    '../elsewhere:/more',
    '--output-path',
    '/kept',
    '--env',
    'LEVEL=a "b"',
    '--workdir',
    '/tmp',
    '--memory',
    '64Mi',
  ]
  const ended = await here.skrei('docker', 'busybox', '--pull', 'never', ...flags, '--output', 'result', '--json', '--', 'sh', '-c', command)
  const result = JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '') as JsonResult
  expect([ended.code, result.state]).toEqual([0, 'completed'])
  const kept = (name: string): string => readFileSync(join(here.jobs, 'result/shards/0', name), 'utf8').trim()
  expect(['stdout', 'outputs/kept/words', 'outputs/kept/numbers', 'outputs/kept/where'].map(kept)).toEqual(['said a "b"', '2', '1\n2', '/tmp'])
  here.clean(ended)
})

onEngine(`skrei docker ends with 1 where the program fails, and says what it wrote${note}`, async () => {
  using here = place({ DOCKER_HOST: socket })
  const ended = await here.skrei('docker', 'busybox', '--pull', 'never', '--entrypoint', 'sh', '--', '-c', 'echo alas >&2; exit 7')
  expect(ended.code).toBe(1)
  expect(ended.stdout).toMatch(/exit-nonzero[\s\S]*│ alas/)
  here.clean(ended)
})

onEngine(`skrei docker --node gives files to a node that runs on its own, and fetches the result${note}`, async () => {
  using here = place({ DOCKER_HOST: socket })
  const node = await startNode(here)
  try {
    here.write('letter.txt', 'dear reader')
    const flags = ['--pull', 'never', '--input', './letter.txt:/in', '--node', node.api, '--output', 'result']
    const ended = await here.skrei('docker', 'busybox', ...flags, '--', 'sh', '-c', 'wc -w < /in/letter.txt > /outputs/words')
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringContaining('completed')])
    expect(readFileSync(join(here.jobs, 'result/shards/0/outputs/outputs/words'), 'utf8').trim()).toBe('2')
  } finally {
    await node.end()
  }
})

onEngine(`a node runs no image that its configuration does not allow${note}`, async () => {
  using here = place({ DOCKER_HOST: socket })
  here.configure('docker: { images: ["docker.io/library/nothing"] }\n')
  const node = await startNode(here)
  try {
    const ended = await here.skrei('docker', 'busybox', '--pull', 'never', '--node', node.api, '--json', '--', 'true')
    const result = JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '') as JsonResult
    expect([ended.code, JSON.stringify(result.error)]).toEqual([3, expect.stringMatching(/does not run the image docker\.io\/library\/busybox.*policy/)])
  } finally {
    await node.end()
  }
})

// The rules that keep a container to its domains take root.
const asRoot = process.getuid?.() === 0
const onGuarded = asRoot ? onEngine : test.skip
onGuarded(`skrei docker gives a program the domains that its user names, and nothing else${asRoot ? note : ' (skipped: run as root)'}`, async () => {
  using here = place({ DOCKER_HOST: socket })
  const command = 'env | grep -c ^HTTPS_PROXY=; wget -q -O - http://other.example/ 2>&1 | tail -1'
  const flags = ['--pull', 'never', '--domain', 'example.org', '--output', 'result']
  const ended = await here.skrei('docker', 'busybox', ...flags, '--', 'sh', '-c', command)
  expect(ended.code, ended.stdout).toBe(0)
  expect(readFileSync(join(here.jobs, 'result/shards/0/stdout'), 'utf8')).toMatch(/^1\n.*403/)
  here.clean(ended)
})
