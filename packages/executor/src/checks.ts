import assert from 'node:assert/strict'
import { lstat, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deviceSchema, refusalSchema, type Task } from '@skrei/job-spec'
import { type AddCheck, assertStill, taskFor, withBench } from './conformance-bench.ts'
import { defaultDeadline, inTime } from './in-time.ts'
import type { Executor } from './index.ts'
import { lifecycleChecks } from './lifecycle-checks.ts'
import type { Programs } from './programs.ts'

export type { Program, Programs } from './programs.ts'

export interface ConformanceOptions {
  readonly name: string
  /** Makes an executor that keeps what it must keep below `home`. Called again with the same home for a restart. Disposed of where it has `Symbol.asyncDispose`. */
  readonly create: (context: { readonly home: string }) => Executor | Promise<Executor>
  readonly programs: Programs
  /** Milliseconds that a check may take, its cleaning up apart. Default 30,000. */
  readonly deadline?: number
  readonly capabilities?: {
    /** Records survive a restart of the node: a second executor on the same home knows what the first did. */
    readonly restart?: boolean
    /** The engine can give a task the network. */
    readonly network?: boolean
  }
}

/** One promise of the contract. `missing` says what it lacks to be checked. `run` rejects where the promise is broken, or not kept within the deadline. */
export interface Check {
  readonly name: string
  readonly missing?: string
  readonly run: () => Promise<void>
}

/** The checks themselves, for who has no vitest or wants to run them otherwise. */
export const executorChecks = (options: ConformanceOptions): readonly Check[] => {
  const { programs, capabilities = {} } = options
  const checks: Check[] = []
  const deadline = options.deadline ?? defaultDeadline
  const check: AddCheck = (name, needs, work, inapplicable) => {
    const lacking = [needs].flat().filter((need) => programs[need] === undefined)
    const first = programs[[needs].flat()[0] ?? 'hello'] ?? programs.hello
    checks.push({
      name,
      ...(lacking.length > 0 && { missing: `no program ${lacking.join(', ')}` }),
      ...(inapplicable !== undefined && { missing: inapplicable }),
      run: () =>
        inTime(
          `${name}, with its cleaning up`,
          2 * deadline,
          withBench(options.create, (bench) => inTime(name, deadline, work(bench, first))),
        ),
    })
  }
  answers(check, options)
  output(check)
  files(check)
  endings(check)
  lifecycleChecks(check, capabilities.restart === true)
  return checks
}

const answers = (check: AddCheck, { capabilities }: ConformanceOptions): void => {
  check('inventory names a version and its devices', 'hello', async ({ executor }) => {
    const { version, devices } = await executor.inventory()
    assert.ok(version.length > 0)
    for (const device of devices) deviceSchema.parse(device)
  })

  const refused = async (executor: Executor, task: Task) => {
    const found = await executor.assess(task)
    return found.map((refusal) => refusalSchema.parse(refusal).code)
  }

  check('assess has nothing against a task that would run', 'hello', async ({ executor }, hello) => {
    assert.deepEqual(await executor.assess(taskFor(hello.engine)), [])
  })
  check('assess refuses the task of another engine', 'hello', async ({ executor }) => {
    assert.ok((await refused(executor, taskFor({ type: 'other.example/engine' }))).includes('engine-unavailable'))
  })
  check('assess refuses more devices than the inventory has, with the numbers', 'hello', async ({ executor }, hello) => {
    const { devices } = await executor.inventory()
    const wanted = devices.length + 1
    const found = await executor.assess(taskFor(hello.engine, { resources: { gpu: { count: wanted } } }))
    const refusal = found.find(({ code }) => code === 'exceeds-node')
    assert.ok(refusal !== undefined)
    assert.deepEqual([refusal.resource, refusal.wanted], ['gpu', wanted])
  })
  check(
    'assess refuses a network that the engine does not give',
    'hello',
    async ({ executor }, hello) => {
      for (const mode of ['full', 'http'] as const) {
        assert.ok((await refused(executor, { ...taskFor(hello.engine), network: { mode } })).includes('network-unsupported'))
      }
    },
    capabilities?.network === true ? 'the engine gives the network: capability network' : undefined,
  )
  check('assess refuses a field that the engine does not support', 'unsupported', async ({ executor }, unsupported) => {
    const found = await executor.assess(taskFor(unsupported.engine))
    assert.ok(found.some(({ code, detail }) => code === 'task-unsupported' && detail.length > 0))
  })
  check('an aborted signal is honoured before anything happens', 'hello', async ({ executor, request, run }, hello) => {
    const signal = AbortSignal.abort(new Error('given up'))
    await assert.rejects(executor.inventory({ signal }), /given up/)
    await assert.rejects(executor.assess(taskFor(hello.engine), { signal }), /given up/)
    await assert.rejects(run(hello, { id: 'same', signal }), /given up/)
    await assert.rejects(executor.stop('same', { signal }), /given up/)
    assert.equal((await run(hello, { id: 'same' })).exit.exit, 0)
    await assert.rejects(executor.remove(request(hello, { id: 'same' }).id, { signal }), /given up/)
  })
}

const output = (check: AddCheck): void => {
  check('a program runs to its end', 'hello', async ({ run }, hello) => {
    const { stdout, stderr, exit } = await run(hello)
    assert.deepEqual([stdout, stderr, exit.exit, exit.failure], ['hello\n', '', 0, undefined])
    assert.equal(exit.facts['stdoutTruncated'], undefined)
  })
  check('an exit code other than 0 is a failure, and standard error is apart', 'exit7', async ({ run }, exit7) => {
    const { stdout, stderr, exit } = await run(exit7)
    assert.deepEqual([stdout, stderr, exit.exit, exit.failure?.code], ['', 'oops\n', 7, 'exit-nonzero'])
  })
  check('output is cut at its limit, and the exit says so', 'flood', async ({ run }, flood) => {
    const { stdout, exit } = await run(flood, { limits: { stdout: 100_000 } })
    assert.deepEqual([stdout.length, exit.exit, exit.facts['stdoutTruncated']], [100_000, 0, 'true'])
  })
  check('output below its limit is whole', 'flood', async ({ run }, flood) => {
    const { stdout, exit } = await run(flood, { limits: { stdout: 64 * 2 ** 20 } })
    assert.ok(stdout.length >= 256 * 1024)
    assert.equal(exit.facts['stdoutTruncated'], undefined)
  })
  check('a limit of 0 drops all output', 'hello', async ({ run }, hello) => {
    const { stdout, exit } = await run(hello, { limits: { stdout: 0 } })
    assert.deepEqual([stdout, exit.exit, exit.facts['stdoutTruncated']], ['', 0, 'true'])
  })
  check('arguments arrive as they are', 'arguments', async ({ run }, program) => {
    assert.equal((await run(program)).stdout, 'one\ntwo words\n\n')
  })
  check('the environment is what the request says', 'environment', async ({ run }, environment) => {
    assert.equal((await run(environment, { env: { GREETING: 'hallo, væl' } })).stdout.trimEnd(), 'hallo, væl')
  })
  check('standard input arrives', 'stdin', async ({ run }, stdin) => {
    assert.equal((await run(stdin)).stdout.trimEnd(), 'from stdin')
  })
  check('an equal seed gives equal output, another seed another', 'random', async ({ run }, random) => {
    const seed = (fill: number) => new Uint8Array(32).fill(fill)
    const first = await run(random, { seed: seed(1) })
    assert.ok(first.stdout.length > 0)
    assert.equal((await run(random, { seed: seed(1) })).stdout, first.stdout)
    assert.notEqual((await run(random, { seed: seed(2) })).stdout, first.stdout)
  })
}

const files = (check: AddCheck): void => {
  check('inputs can be read', 'reads', async ({ run, inputs }, reads) => {
    await writeFile(join(inputs, 'letter.txt'), 'dear reader')
    assert.equal((await run(reads)).stdout, 'dear reader')
  })
  check('inputs stay as they are', 'tampers', async ({ run, inputs }, tampers) => {
    await writeFile(join(inputs, 'letter.txt'), 'dear reader')
    await run(tampers)
    assert.deepEqual(await readdir(inputs), ['letter.txt'])
    assert.equal(await readFile(join(inputs, 'letter.txt'), 'utf8'), 'dear reader')
  })
  check('what is written to an output is there when the run ends', 'writes', async ({ run, outputs }, writes) => {
    const { exit } = await run(writes)
    assert.deepEqual([exit.exit, exit.failure], [0, undefined])
    assert.equal(await readFile(join(outputs, 'greeting.txt'), 'utf8'), 'hello\n')
    assert.equal(await readFile(join(outputs, 'a', 'b', 'deep.txt'), 'utf8'), 'deep\n')
  })
  check('outputs are bounded by the disk of the task', 'fills', async ({ run, outputs }, fills) => {
    const disk = 64 * 1024
    const { exit } = await run(fills, { resources: { disk } })
    assert.equal(exit.failure?.code, 'output-too-large')
    let total = 0
    for (const entry of await readdir(outputs, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) total += (await lstat(join(entry.parentPath, entry.name))).size
    }
    assert.ok(total <= disk, `the outputs hold ${total} bytes of ${disk} allowed`)
  })
  check('outputs are bounded in the number of their files', 'scatters', async ({ run, outputs }, scatters) => {
    const { exit } = await run(scatters, { limits: { files: 8 } })
    assert.equal(exit.failure?.code, 'output-too-large')
    const written = (await readdir(outputs, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
    assert.ok(written.length <= 8, `the outputs hold ${written.length} files of 8 allowed`)
  })
  check('outputs hold no link, or the run fails for it', 'links', async ({ run, outputs }, links) => {
    const { exit } = await run(links)
    const found = (await readdir(outputs, { recursive: true, withFileTypes: true })).filter((entry) => !entry.isFile() && !entry.isDirectory())
    if (exit.failure?.code !== 'output-unsafe') assert.deepEqual(found, [])
  })
}

const endings = (check: AddCheck): void => {
  check('a program that runs too long is killed and its failure is timeout', 'forever', async ({ run }, forever) => {
    const { stdout, exit } = await run(forever, { timeout: 1000 })
    assert.deepEqual([stdout, exit.exit, exit.failure?.code], ['ready\n', undefined, 'timeout'])
  })
  check('what was killed for its timeout does not go on', 'beats', async ({ run, outputs }, beats) => {
    const { exit } = await run(beats, { timeout: 1500 })
    assert.equal(exit.failure?.code, 'timeout')
    await assertStill(join(outputs, 'beat'))
  })
  check('a program that its engine stops fails with trap', 'traps', async ({ run }, traps) => {
    const { exit } = await run(traps)
    assert.deepEqual([exit.exit, exit.failure?.code], [undefined, 'trap'])
    assert.ok((exit.failure?.detail.length ?? 0) > 0)
  })
  check('a program that needs too much memory fails with out-of-memory', 'exhausts', async ({ run }, exhausts) => {
    assert.equal((await run(exhausts, { resources: { memory: 64 * 2 ** 20 } })).exit.failure?.code, 'out-of-memory')
  })
  check('what is no program of the engine fails with module-invalid', 'invalid', async ({ run }, invalid) => {
    const { exit } = await run(invalid)
    assert.equal(exit.failure?.code, 'module-invalid')
    assert.ok((exit.failure?.detail.length ?? 0) > 0)
  })
  check("a staged file that is not there is the node's fault, and the id may run again", ['missing', 'hello'], async ({ run, executor }, missing) => {
    await assert.rejects(run(missing, { id: 'same' }))
    await assert.rejects(run(missing, { id: 'same' }))
    const left: string[] = []
    for await (const id of executor.leftovers()) left.push(id)
    assert.deepEqual(left, [])
  })
}
