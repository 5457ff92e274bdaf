import type { Task } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { executorConformance, type Program } from '../src/conformance.ts'
import { taskFor } from '../src/conformance-bench.ts'
import type { RunEvent } from '../src/index.ts'
import { noopExecutor } from '../src/noop.ts'

const noop = (engine: Omit<Extract<Task['engine'], { type: 'noop' }>, 'type'>): Program => ({ engine: { type: 'noop', ...engine } })
const many = (count: number, size: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`/outputs/${index}`, 'x'.repeat(size)]))

executorConformance({
  name: 'noop',
  create: () => noopExecutor(),
  programs: {
    hello: noop({ stdout: 'hello\n' }),
    exit7: noop({ stderr: 'oops\n', exit: 7 }),
    forever: noop({ stdout: 'ready\n', duration: 31_536_000_000 }),
    flood: noop({ stdout: 'flood '.repeat(50_000) }),
    writes: noop({ files: { '/outputs/greeting.txt': 'hello\n', '/outputs/a/b/deep.txt': 'deep\n' } }),
    fills: noop({ files: many(1, 2 ** 20) }),
    scatters: noop({ files: many(32, 1) }),
  },
})

const runOf = async (executor: ReturnType<typeof noopExecutor>, program: Program): Promise<readonly RunEvent[]> => {
  const events: RunEvent[] = []
  const request = {
    id: 'one',
    task: taskFor(program.engine),
    seed: new Uint8Array(16),
    mounts: [],
    files: {},
    env: {},
    devices: [],
    from: { stdout: 0, stderr: 0 },
  }
  for await (const event of executor.run(request, {})) events.push(event)
  return events
}

test('time is what is handed in: a day passes at once', async () => {
  let now = 0
  const executor = noopExecutor({
    now: () => now,
    wait: async (milliseconds, { signal }) => {
      // The timeout of a minute comes due first in virtual time as in any other.
      if (milliseconds === 60_000) await new Promise((_, reject) => signal.addEventListener('abort', reject))
      now += milliseconds
    },
  })
  const events = await runOf(executor, noop({ duration: 86_400_000, exit: 3 }))
  expect(events.at(-1)).toEqual({
    type: 'exit',
    exit: 3,
    failure: { code: 'exit-nonzero', detail: 'exit code 3' },
    usage: { outputBytes: 0, wallMs: 86_400_000 },
    facts: {},
  })
})

test.each(['/elsewhere/file', '/outputs/../file', '/outputs/', '/outputs//x', 'outputs/x', '/outputs/a\0b'])(
  'a file outside the outputs is refused: %j',
  async (path) => {
    const events = await runOf(noopExecutor(), noop({ files: { [path]: 'x' } }))
    expect(events.at(-1)).toMatchObject({ failure: { code: 'task-invalid' } })
  },
)
