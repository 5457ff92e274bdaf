import { type Refusal, refusalSchema } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { saidRefusals } from '../src/machines/said-refusals.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { asker, upTo } from './asker.ts'

const secrets = (count: number): readonly Refusal[] => upTo(count).map((index) => ({ code: 'secret-unknown', detail: `no secret ${index}` }))

test('of more refusals than a message takes, one of each code is said first, each as long as it may be', () => {
  expect(saidRefusals(secrets(3))).toEqual(secrets(3))
  const said = saidRefusals([...secrets(100), { code: 'policy', detail: 'x'.repeat(10_000), wanted: Number.NaN, available: 2 }, { code: 'busy', detail: '' }])
  expect(said).toHaveLength(64)
  expect(said.slice(0, 4).map(({ code, detail }) => [code, detail.length])).toEqual([
    ['secret-unknown', 11],
    ['policy', 4096],
    ['busy', 0],
    ['secret-unknown', 11],
  ])
  for (const refusal of said) expect(refusalSchema.safeParse(refusal).error).toBeUndefined()
  // Of an operator's own making.
  expect(saidRefusals([{ code: 'made-up', detail: '' } as never])).toEqual([{ code: 'assess-failed', detail: 'the node gave no reason' }])
})

test('a task with more unknown secrets, and a policy with more to say, than a decline takes is declined at once', async () => {
  const world = await createSimulation({
    nodes: 1,
    compute: { policy: () => [{ code: 'policy', detail: 'p'.repeat(5000) }, ...secrets(70)] },
  })
  const peer = await asker(world, 'peer')
  await peer.ask(world.node(0).id, [0], { env: Object.fromEntries(upTo(70).map((index) => [`E${index}`, { secret: `s${index}` }])) })
  await world.clock.advance(100)
  expect(peer.declines()).toHaveLength(1)
  expect(new Set(peer.declines()[0]?.refusals.map(({ code }) => code))).toEqual(new Set(['policy', 'secret-unknown']))
  expect(world.errors).toEqual([])
  await world.stop()
})
