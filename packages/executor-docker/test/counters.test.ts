import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { countersAt, networkIn, placeFor, placeOf } from '../src/cgroup.ts'
import { containerCounters } from '../src/counters.ts'
import type { EngineContainer } from '../src/engine-client.ts'
import { fakeEngine } from './fake-engine.ts'

const id = 'b51523a1f1f621e5ade0f52c284b25bd72589995841c261e1253a5bf3f75fb31'
const other = 'c'.repeat(64)

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'skrei-cgroup-'))
})
afterEach(() => rm(root, { recursive: true }))

const put = async (files: Readonly<Record<string, string>>): Promise<void> => {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), text)
  }
}

// As Debian 12 shows them with version 1, recorded on an engine 20.10; shortened.
const first = {
  cgroup: `9:name=systemd:/docker/${id}\n8:pids:/docker/${id}\n7:blkio:/docker/${id}\n4:memory:/docker/${id}\n2:cpu,cpuacct:/docker/${id}\n0::/docker/${id}\n`,
  mountinfo: [
    '23 1 8:1 / / rw,relatime - ext4 /dev/root rw',
    '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
    '33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct',
    '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
    '38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio',
    '39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids',
    '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
  ].join('\n'),
}
// With version 2 alone, and systemd.
const second = {
  cgroup: `0::/system.slice/docker-${id}.scope\n`,
  mountinfo: '35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n',
}

describe('a container’s cgroup', () => {
  test('is found by its process, in both versions, and where both are there in the one that counts', () => {
    expect(placeOf(first, id)).toEqual({
      version: 1,
      cpuacct: `/sys/fs/cgroup/cpu,cpuacct/docker/${id}`,
      memory: `/sys/fs/cgroup/memory/docker/${id}`,
      blkio: `/sys/fs/cgroup/blkio/docker/${id}`,
      pids: `/sys/fs/cgroup/pids/docker/${id}`,
    })
    expect(placeOf(second, id)).toEqual({ version: 2, directory: `/sys/fs/cgroup/system.slice/docker-${id}.scope` })
  })
  test('lies where the part of the hierarchy that is mounted has it, and nowhere where that is another part', () => {
    const mounted = (at: string) => ({ cgroup: `0::/outer/docker/${id}\n`, mountinfo: `35 24 0:30 ${at} /mnt rw - cgroup2 cgroup2 rw\n` })
    expect(placeOf(mounted('/outer'), id)).toEqual({ version: 2, directory: `/mnt/docker/${id}` })
    expect(placeOf(mounted('/inner'), id)).toBeUndefined()
    expect(placeOf({ cgroup: `0::/../docker/${id}\n`, mountinfo: second.mountinfo }, id)).toBeUndefined()
  })
  test('is no other process’s: an engine elsewhere counts its processes by itself', () => {
    expect(placeOf(first, other)).toBeUndefined()
    expect(placeOf({ cgroup: '0::/user.slice/session-1.scope\n', mountinfo: second.mountinfo }, id)).toBeUndefined()
    expect(placeOf({ cgroup: '', mountinfo: '' }, id)).toBeUndefined()
  })
  test('of the next container lies beside it', () => {
    expect(placeFor({ version: 2, directory: `/c/docker-${id}.scope` }, id, other)).toEqual({ version: 2, directory: `/c/docker-${other}.scope` })
  })
})

describe('the kernel’s counters', () => {
  test('of version 2, in the format of its documentation', async () => {
    await put({
      // https://docs.kernel.org/admin-guide/cgroup-v2.html: cpu.stat, io.stat as the document shows it, single values.
      'c/cpu.stat':
        'usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnr_periods 10\nnr_throttled 2\nthrottled_usec 5000\nnr_bursts 0\nburst_usec 0\n',
      'c/memory.current': '8192000\n',
      'c/memory.peak': '9999360\n',
      'c/pids.current': '3\n',
      'c/io.stat':
        '8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021\n',
    })
    expect(countersAt({ version: 2, directory: join(root, 'c') })).toEqual({
      cpuMs: 1234.567,
      memory: 8_192_000,
      memoryPeak: 9_999_360,
      processes: 3,
      blockReadBytes: 91_889_664,
      blockWriteBytes: 613_781_504,
    })
  })
  test('what an older kernel, or one with fewer controllers, does not count is absent', async () => {
    await put({ 'c/cpu.stat': 'usage_usec 5\n', 'c/memory.current': '1\n', 'c/memory.max': 'max\n' })
    expect(countersAt({ version: 2, directory: join(root, 'c') })).toEqual({ cpuMs: 0.005, memory: 1 })
    expect(countersAt({ version: 2, directory: join(root, 'gone') })).toBeUndefined()
    expect(countersAt({ version: 1, cpuacct: join(root, 'gone') })).toBeUndefined()
  })
  test('of version 1, in the format of its documentation', async () => {
    await put({
      'cpuacct/cpuacct.usage': '24301529\n',
      'memory/memory.usage_in_bytes': '634880\n',
      'memory/memory.max_usage_in_bytes': '3833856\n',
      'blkio/blkio.throttle.io_service_bytes':
        '8:0 Read 4096\n8:0 Write 512\n8:0 Sync 4608\n8:0 Async 0\n8:0 Discard 0\n8:0 Total 4608\n8:16 Read 1\nTotal 4609\n',
    })
    expect(countersAt({ version: 1, cpuacct: join(root, 'cpuacct'), memory: join(root, 'memory'), blkio: join(root, 'blkio') })).toEqual({
      cpuMs: 24.301529,
      memory: 634_880,
      memoryPeak: 3_833_856,
      blockReadBytes: 4097,
      blockWriteBytes: 512,
    })
  })
  test('of the network are those of all interfaces but the loop', () => {
    const head =
      'Inter-|   Receive                            |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n'
    expect(
      networkIn(
        `${head}    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0:     396       4    0    0    0     0          0         0      120       1    0    0    0     0       0          0\n eth1:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n`,
      ),
    ).toEqual({
      networkReceivedBytes: 397,
      networkSentBytes: 122,
    })
    expect(networkIn(`${head}    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n`)).toEqual({})
  })
})

describe('where counters come from', () => {
  const engineWith = (pid: number | undefined) => {
    const engine = fakeEngine()
    const container: EngineContainer = {
      id,
      image: '',
      labels: {},
      state: 'running',
      exitCode: 0,
      outOfMemory: false,
      error: '',
      ...(pid !== undefined && { pid }),
    }
    engine.inspect = async () => {
      engine.calls.push('inspect')
      return container
    }
    engine.counters = async () => {
      engine.calls.push('counters')
      return { cpuMs: 7 }
    }
    return engine
  }
  const machine = (container: string, parent = 'my.slice'): Promise<void> =>
    put({
      'proc/self/mountinfo': `35 24 0:30 / ${root}/cgroup rw - cgroup2 cgroup2 rw\n`,
      'proc/77/cgroup': `0::/${parent}/${id}\n`,
      'proc/77/net/dev': 'eth0: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n',
      [`cgroup/${parent}/${container}/cpu.stat`]: 'usage_usec 3000\n',
      [`cgroup/${parent}/${container}/cgroup.procs`]: '77\n78\n',
    })

  test('the kernel, where it shows them; the engine is asked once where they lie, and not for the next container', async () => {
    const engine = engineWith(77)
    await machine(id)
    await machine(other)
    const countersOf = containerCounters(engine, join(root, 'proc'))
    using one = countersOf(id, true)
    expect(one.now()).toBeUndefined()
    await one.prepare()
    expect(await one.read()).toEqual({ cpuMs: 3, networkReceivedBytes: 5, networkSentBytes: 6 })
    using next = countersOf(other, false)
    expect(next.now()).toEqual({ cpuMs: 3 })
    expect(engine.calls).toEqual(['inspect'])
    // What is over is not asked of the engine, and the network can be read to the end.
    await rm(join(root, 'proc/77'), { recursive: true })
    expect(one.now()).toEqual({ cpuMs: 3, networkReceivedBytes: 5, networkSentBytes: 6 })
    await rm(join(root, 'cgroup'), { recursive: true })
    expect([one.now(), await one.read(), await next.read()]).toEqual([undefined, undefined, undefined])
    expect(engine.calls).toEqual(['inspect'])
  })

  test('the kernel, without a question, where engines put containers mostly', async () => {
    const engine = engineWith(77)
    await machine(id, 'docker')
    const countersOf = containerCounters(engine, join(root, 'proc'))
    expect(countersOf(other, false).now()).toBeUndefined()
    expect(countersOf(id, false).now()).toEqual({ cpuMs: 3 })
    await put({ [`cgroup/system.slice/docker-${id}.scope/cpu.stat`]: 'usage_usec 4000\n' })
    await rm(join(root, 'cgroup/docker'), { recursive: true })
    expect(containerCounters(engine, join(root, 'proc'))(id, false).now()).toEqual({ cpuMs: 4 })
    expect(engine.calls).toEqual([])
  })

  test('the engine, where its processes are not those of this machine: found out once', async () => {
    const engine = engineWith(78)
    await machine(id)
    const countersOf = containerCounters(engine, join(root, 'proc'))
    for (let count = 0; count < 2; count++) expect(await countersOf(id, false).read()).toEqual({ cpuMs: 7 })
    expect(engine.calls).toEqual(['inspect', 'inspect', 'counters', 'counters'])
  })

  test('the engine, where the network cannot be seen here; one that has just ended says nothing of where they lie', async () => {
    const engine = engineWith(77)
    await machine(id)
    await rm(join(root, 'proc/77/net'), { recursive: true })
    expect(await containerCounters(engine, join(root, 'proc'))(id, true).read()).toEqual({ cpuMs: 7 })
    const ended = engineWith(undefined)
    const countersOf = containerCounters(ended, join(root, 'proc'))
    for (let count = 0; count < 2; count++) await countersOf(id, false).read()
    expect(ended.calls).toEqual(['inspect', 'counters', 'inspect', 'counters'])
  })
})
