import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type AddCheck, assertStill, type Bench, beating, type Ran, ready } from './conformance-bench.ts'

const leftovers = async ({ executor }: Bench): Promise<readonly string[]> => {
  const ids: string[] = []
  for await (const id of executor.leftovers()) ids.push(id)
  return ids.sort()
}

const refusedAsCancelled = ({ stdout, stderr, exit }: Ran, already = ''): void => {
  assert.deepEqual([stdout, stderr, exit.exit, exit.failure?.code], [already, '', undefined, 'cancelled'])
}

export const lifecycleChecks = (check: AddCheck, restart: boolean): void => {
  attaching(check)
  stopping(check)
  removing(check)
  restarting((name, needs, work) => check(name, needs, work, restart ? undefined : 'the executor does not promise it: no capability restart'))
}

const attaching = (check: AddCheck): void => {
  check('output arrives while the program runs, and who leaves does not end it', 'forever', async ({ executor, request, run }, forever) => {
    const first = request(forever, { id: 'same' })
    for await (const event of executor.run(first, {})) if (event.type === 'output') break
    const { seen, onEvent } = ready()
    const second = run(forever, { id: 'same', onEvent })
    await seen(second)
    await executor.stop('same')
    refusedAsCancelled(await second, 'ready\n')
  })
  check('the same id again attaches to what runs, from the offset that it names', 'forever', async ({ executor, run }, forever) => {
    const whole = ready()
    const first = run(forever, { id: 'same', onEvent: whole.onEvent })
    await whole.seen(first)
    const again = ready()
    const second = run(forever, { id: 'same', onEvent: again.onEvent })
    await again.seen(second)
    const { promise: attached, resolve } = Promise.withResolvers<void>()
    const third = run(forever, { id: 'same', from: { stdout: 3, stderr: 0 }, onEvent: (event) => event.type === 'output' && resolve() })
    await Promise.race([attached, third])
    await executor.stop('same')
    const [one, two, three] = await Promise.all([first, second, third])
    assert.deepEqual([one.stdout, two.stdout, three.stdout], ['ready\n', 'ready\n', 'dy\n'])
    assert.deepEqual(two.exit, one.exit)
    assert.deepEqual(three.exit, one.exit)
  })
  check('the same id at the same moment runs once', 'writes', async ({ run, outputs }, writes) => {
    const [one, two] = await Promise.all([run(writes, { id: 'same' }), run(writes, { id: 'same' })])
    assert.deepEqual(two.exit, one.exit)
    assert.ok((await readdir(outputs)).includes('greeting.txt'))
  })
  check('the same id after the end repeats output and exit and runs nothing', 'writes', async ({ run, outputs }, writes) => {
    const first = await run(writes, { id: 'same' })
    await rm(join(outputs, 'greeting.txt'))
    assert.deepEqual(await run(writes, { id: 'same' }), first)
    assert.ok(!(await readdir(outputs)).includes('greeting.txt'), 'it ran again')
  })
  check('a repeated failure is the same failure, and its output goes on from the offset', ['exit7', 'hello'], async ({ run }, exit7) => {
    const first = await run(exit7, { id: 'same' })
    const again = await run(exit7, { id: 'same', from: { stdout: 0, stderr: 2 } })
    assert.deepEqual([again.exit, again.stderr], [first.exit, 'ps\n'])
    assert.equal((await run(exit7, { id: 'same', from: { stdout: 0, stderr: 5 } })).stderr, '')
  })
  check('two executions at once do not end each other', ['forever', 'hello'], async ({ executor, run }, forever) => {
    const { seen, onEvent } = ready()
    let ended = false
    const long = run(forever, {
      id: 'long',
      onEvent: (event) => {
        onEvent(event)
        if (event.type === 'exit') ended = true
      },
    })
    await seen(long)
    const other = ready()
    const second = run(forever, { id: 'other', onEvent: other.onEvent })
    await other.seen(second)
    await executor.stop('other')
    refusedAsCancelled(await second, 'ready\n')
    assert.equal(ended, false, 'the other execution ended too')
    await executor.stop('long')
    refusedAsCancelled(await long, 'ready\n')
  })
}

const stopping = (check: AddCheck): void => {
  check("an aborted signal kills what runs and rejects with the signal's reason", 'forever', async ({ run }, forever) => {
    const controller = new AbortController()
    const { seen, onEvent } = ready()
    const running = run(forever, { id: 'same', signal: controller.signal, onEvent })
    await seen(running)
    const reason = new Error('the node goes down')
    controller.abort(reason)
    await assert.rejects(running, (error) => error === reason)
    refusedAsCancelled(await run(forever, { id: 'same' }), 'ready\n')
  })
  check('what was aborted is dead when run rejects', 'beats', async ({ run, outputs }, beats) => {
    const controller = new AbortController()
    const { seen, onEvent } = ready()
    const running = run(beats, { signal: controller.signal, onEvent })
    await seen(running)
    await beating(join(outputs, 'beat'))
    controller.abort(new Error('the node goes down'))
    await assert.rejects(running, /the node goes down/)
    await assertStill(join(outputs, 'beat'))
  })
  check('stop ends what runs with cancelled, and a later run of the id too', 'forever', async ({ executor, run }, forever) => {
    const { seen, onEvent } = ready()
    const running = run(forever, { id: 'same', onEvent })
    await seen(running)
    await executor.stop('same')
    refusedAsCancelled(await running, 'ready\n')
    assert.equal((await run(forever, { id: 'same' })).exit.failure?.code, 'cancelled')
  })
  check('what was stopped is dead when stop returns', 'beats', async ({ executor, run, outputs }, beats) => {
    const { seen, onEvent } = ready()
    const running = run(beats, { id: 'same', onEvent })
    await seen(running)
    await beating(join(outputs, 'beat'))
    await executor.stop('same')
    await assertStill(join(outputs, 'beat'))
    assert.equal((await running).exit.failure?.code, 'cancelled')
  })
  check('stop at the same moment as run leaves nothing running', 'forever', async ({ executor, run }, forever) => {
    const running = run(forever, { id: 'same' })
    await executor.stop('same')
    assert.equal((await running).exit.failure?.code, 'cancelled')
    assert.equal((await run(forever, { id: 'same' })).exit.failure?.code, 'cancelled')
  })
  check('stop before run: the run is refused and has no effect', ['writes', 'hello'], async ({ executor, run, outputs }, writes) => {
    await executor.stop('same')
    await executor.stop('same')
    refusedAsCancelled(await run(writes, { id: 'same' }))
    assert.deepEqual(await readdir(outputs), [])
  })
  check('stop after the end: a later run is refused', 'hello', async ({ executor, run }, hello) => {
    assert.equal((await run(hello, { id: 'same' })).exit.exit, 0)
    await executor.stop('same')
    const { exit } = await run(hello, { id: 'same' })
    assert.deepEqual([exit.exit, exit.failure?.code], [undefined, 'cancelled'])
  })
}

const removing = (check: AddCheck): void => {
  check('leftovers names what ran, runs or was stopped until it is removed', ['forever', 'hello'], async (bench, forever) => {
    const { executor, run } = bench
    assert.deepEqual(await leftovers(bench), [])
    const { seen, onEvent } = ready()
    const running = run(forever, { id: 'a', onEvent })
    await seen(running)
    await run(forever, { id: 'b', timeout: 50 })
    await executor.stop('c')
    assert.deepEqual(await leftovers(bench), ['a', 'b', 'c'])
    for (const id of ['a', 'b', 'c']) await executor.remove(id)
    assert.deepEqual(await leftovers(bench), [])
    assert.equal((await running).exit.failure?.code, 'cancelled')
  })
  check('remove forgets: tombstones, exits and output; the id runs anew', 'hello', async ({ executor, run }, hello) => {
    await executor.remove('same')
    await executor.stop('same')
    await executor.remove('same')
    await executor.remove('same')
    for (let round = 0; round < 2; round++) {
      const { stdout, exit } = await run(hello, { id: 'same' })
      assert.deepEqual([stdout, exit.exit], ['hello\n', 0])
      await executor.remove('same')
    }
  })
  check('remove kills what runs', 'beats', async ({ executor, run, outputs }, beats) => {
    const { seen, onEvent } = ready()
    const running = run(beats, { id: 'same', onEvent })
    await seen(running)
    await beating(join(outputs, 'beat'))
    await executor.remove('same')
    await assertStill(join(outputs, 'beat'))
    assert.equal((await running).exit.failure?.code, 'cancelled')
  })
}

const restarting = (check: AddCheck): void => {
  check('after a restart what ended is repeated, and is among the leftovers', 'hello', async (bench, hello) => {
    const first = await bench.run(hello, { id: 'same' })
    const after = bench.using(await bench.restart())
    assert.deepEqual(await leftovers(after), ['same'])
    assert.deepEqual(await after.run(hello, { id: 'same' }), first)
  })
  check('after a restart a tombstone still refuses', 'hello', async (bench, hello) => {
    await bench.executor.stop('same')
    const after = bench.using(await bench.restart())
    assert.deepEqual(await leftovers(after), ['same'])
    refusedAsCancelled(await after.run(hello, { id: 'same' }))
    await after.executor.remove('same')
    assert.equal((await after.run(hello, { id: 'same' })).exit.exit, 0)
  })
}
