import { expect, test, vi } from 'vitest'
import { type AnyStateMachine, assign, setup } from 'xstate'
import { compile, type Run } from '../src/kernel/compiled.ts'
import { createSimulation, seededRandom } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const steps = vi.hoisted(() => ({ compared: 0 }))

/** Every step of the simulation is taken twice: as compiled, and by xstate's own `transition()`. */
vi.mock('../src/kernel/compiled.ts', async (original) => {
  const module = await original<typeof import('../src/kernel/compiled.ts')>()
  const { transition: reference } = await vi.importActual<typeof import('xstate')>('xstate')
  const twice = (machine: AnyStateMachine): Run => {
    const run = module.compile(machine)
    return (state, context, event) => {
      const ours = run(state, context, event)
      const snapshot = machine.resolveState({ value: state, context })
      steps.compared++
      if (!snapshot.can(event)) {
        expect(ours).toBeUndefined()
        return ours
      }
      const [next, actions] = reference(machine, snapshot, event)
      const emitted = actions.flatMap((action) => {
        const { type, params } = action as { readonly type: string; readonly params?: unknown }
        return type === 'emit' ? [params] : []
      })
      expect(ours).toEqual({ state: next.value, final: next.status === 'done', context: next.context, emitted })
      return ours
    }
  }
  return { ...module, compile: twice }
})

test.each([1, 2, 3, 4, 5, 6])('a machine as compiled does what xstate does, whatever happens (seed %i)', async (seed) => {
  const random = seededRandom(seed)
  const world = await createSimulation({
    nodes: 4,
    seed,
    link: { latency: 20, jitter: 100, loss: 0.2, duplication: 0.2, reordering: 0.3 },
    capacity: { cpu: 1500 },
  })
  const jobId = await world
    .node(0)
    .scheduler.submit(noopJob({ sharding: { count: 6 }, retry: { attempts: 5 }, ...(seed % 3 === 0 && { engine: { type: 'noop', exit: 2 } }) }))
  for (let step = 0; step < 20; step++) {
    await world.clock.advance(random() * 1500)
    const victim = world.node(1 + Math.floor(random() * 3))
    if (random() < 0.2 && victim.up) victim.crash()
    else if (!victim.up) await victim.restart()
    if (seed % 2 === 0 && step === 6) await world.node(0).scheduler.cancel(jobId)
  }
  for (const node of world.nodes) if (!node.up) await node.restart()
  await world.finish(world.node(0), jobId)
  await world.clock.advance(7_200_000)
  expect(world.errors).toEqual([])
  expect(steps.compared).toBeGreaterThan(100 * seed)
  await world.stop()
})

const flat = setup({ types: {} as { context: { readonly n: number }; events: { readonly type: string } } })

test.each([
  ['a nested state', flat.createMachine({ id: 'm', context: { n: 0 }, initial: 'a', states: { a: { initial: 'b', states: { b: {} } } } })],
  ['a timer', flat.createMachine({ id: 'm', context: { n: 0 }, initial: 'a', states: { a: { after: { 100: 'b' } }, b: {} } })],
  ['an exit action', flat.createMachine({ id: 'm', context: { n: 0 }, initial: 'a', states: { a: { exit: assign({ n: 1 }) } } })],
  ['an action without an implementation', flat.createMachine({ id: 'm', context: { n: 0 }, initial: 'a', states: { a: { entry: 'nothing' as never } } })],
])('what the interpreter does not know is refused when it is compiled: %s', (_what, machine) => {
  expect(() => compile(machine)).toThrow(/machine m has/)
})

test('a machine that never comes to rest is an error', () => {
  const restless = flat.createMachine({
    id: 'm',
    context: { n: 0 },
    initial: 'a',
    states: { a: { on: { go: 'b' } }, b: { always: 'c' }, c: { always: 'b' } },
  })
  expect(() => compile(restless)('a', { n: 0 }, { type: 'go' })).toThrow(/come to rest/)
})
