import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunEvent, RunExit, RunRequest } from '@skrei/executor'
import { taskFor } from '@skrei/executor/conformance'
import type { Task } from '@skrei/job-spec'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { DockerExecutor } from '../src/executor.ts'
import { executorOn } from '../src/executor.ts'
import type { NetworkSeams } from '../src/networks.ts'
import type { DockerOptions } from '../src/options.ts'
import { docker, engine, haveImage, image, imageWith, namespace, shell, withEngine } from './docker-engine.ts'

let root = ''
let own = ''
let executor: DockerExecutor
beforeAll(haveImage)
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'skrei-sandbox-'))
  for (const folder of ['inputs', 'outputs']) await mkdir(join(root, folder))
  own = namespace()
})
afterEach(async () => {
  for await (const id of executor.leftovers()) await executor.remove(id)
  await executor[Symbol.asyncDispose]()
  expect(await docker('ps', '--all', '--quiet', '--filter', `name=${own}`)).toBe('')
  expect(await docker('network', 'ls', '--quiet', '--filter', `name=${own}`)).toBe('')
  await rm(root, { recursive: true })
})

const open = (options: Partial<DockerOptions> = {}, seams: NetworkSeams = {}): void => {
  executor = executorOn(engine, { directory: join(root, 'state'), namespace: own, ...options }, seams)
}

interface Ran {
  readonly stdout: string
  readonly stderr: string
  readonly exit: RunExit
  readonly events: readonly RunEvent[]
}

type Changes = Partial<Omit<Task, 'resources' | 'limits'>> & { readonly resources?: Partial<Task['resources']>; readonly limits?: Partial<Task['limits']> }

const request = (engineSpec: Task['engine'], { resources, limits, ...changes }: Changes = {}): RunRequest => ({
  id: 'one',
  task: { ...taskFor(engineSpec, { ...(resources && { resources }), ...(limits && { limits }) }), ...changes },
  seed: new Uint8Array(32),
  mounts: [
    { path: join(root, 'inputs'), at: '/inputs', writable: false },
    { path: join(root, 'outputs'), at: '/outputs', writable: true },
  ],
  files: {},
  env: {},
  devices: [],
  from: { stdout: 0, stderr: 0 },
})

const run = async (engineSpec: Task['engine'], changes: Changes = {}, more: Partial<RunRequest> = {}): Promise<Ran> => {
  const text = { stdout: '', stderr: '' }
  const events: RunEvent[] = []
  for await (const event of executor.run({ ...request(engineSpec, changes), ...more }, {})) {
    events.push(event)
    if (event.type === 'output') text[event.stream] += Buffer.from(event.bytes).toString()
    if (event.type === 'exit') return { ...text, exit: event, events }
  }
  throw new Error('no exit')
}

withEngine('the sandbox of a container', () => {
  test('has no privileges: another user than root, no capabilities, none to be gained, its system calls filtered', async () => {
    open()
    const { stdout } = await run(shell('id -u; grep -E "^(CapPrm|CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp):" /proc/self/status'))
    expect(stdout.replaceAll('\t', ' ').trim().split('\n')).toEqual([
      process.getuid?.() === 0 ? '65534' : String(process.getuid?.()),
      ...['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => `${name}: 0000000000000000`),
      'NoNewPrivs: 1',
      'Seccomp: 2',
    ])
  })

  test('has no network: no interface but the loop, nothing to be reached', async () => {
    open()
    const { stdout } = await run(shell('ls /sys/class/net; nc -w 1 172.17.0.1 22 && echo reached; nslookup example.org 2>&1 | tail -1; exit 0'))
    expect(stdout).toContain('lo\n')
    expect(stdout).not.toMatch(/eth|reached|Address/)
  })

  test('an image that declares a volume where it can be none is at fault: it would hide outputs', { timeout: 120_000 }, async () => {
    open()
    for (const volume of ['/outputs/kept', '/inputs/below/', '/proc/']) {
      const misplaced = await imageWith('skrei-test/misplaced-volume:1', `VOLUME ${volume}`)
      try {
        const { exit } = await run({ ...shell('mkdir -p /outputs/kept; echo x > /outputs/kept/file'), image: misplaced })
        expect(exit.failure).toEqual({ code: 'module-invalid', detail: `the image declares a volume at ${volume}, where this job can have none` })
      } finally {
        await executor.remove('one')
        await docker('image', 'rm', misplaced)
      }
    }
  })

  test('an image whose user is root by its number does not run as root', async () => {
    const root = await imageWith('skrei-test/root-by-number:1', 'USER +0')
    open()
    try {
      const { stdout } = await run({ ...shell('id -u'), image: root })
      expect(stdout).toBe(`${process.getuid?.() === 0 ? 65_534 : process.getuid?.()}\n`)
    } finally {
      await executor.remove('one')
      await docker('image', 'rm', root)
    }
  })

  test('can write nowhere but to its outputs and its scratch space, which is bounded', async () => {
    open({ scratch: 1 << 20 })
    const { stdout } = await run(
      shell(
        'for d in / /bin /etc /data /var /inputs /dev /proc/sys/kernel /sys; do (echo x > $d/new) 2>/dev/null && echo "$d"; done; head -c 2000000 /dev/zero > /tmp/big; wc -c < /tmp/big; echo x > /outputs/new && echo fine',
      ),
    )
    expect(stdout).toBe('1048576\nfine\n')
  })

  test('sees no path of the host: no socket of the engine, no disk', async () => {
    open()
    const { stdout } = await run(shell('ls /var/run/docker.sock /run/docker.sock 2>/dev/null; ls /dev; grep -E "^/dev" /proc/mounts | cut -d" " -f2 | sort'))
    const [devices = [], mounts = []] = [stdout.split('\n').filter((line) => !line.startsWith('/')), stdout.split('\n').filter((line) => line.startsWith('/'))]
    expect(devices.filter((name) => name !== '')).toEqual([
      'fd',
      'full',
      'mqueue',
      'null',
      'ptmx',
      'pts',
      'random',
      'shm',
      'stderr',
      'stdin',
      'stdout',
      'tty',
      'urandom',
      'zero',
    ])
    expect(mounts).toEqual(['/etc/hostname', '/etc/hosts', '/etc/resolv.conf', '/inputs', '/outputs'])
  })

  test('has only so many processes', async () => {
    open({ processes: 8 })
    const { stdout, stderr } = await run(shell('for i in $(seq 50); do sleep 5 & done; echo made'))
    expect(stdout).not.toContain('made')
    expect(stderr).toMatch(/fork|Resource temporarily unavailable/)
  })

  test('has only its memory, scratch space included, and is told apart where it needed more', async () => {
    open()
    const memory = 32 << 20
    const { exit } = await run(shell('exec dd if=/dev/zero of=/dev/null bs=100M'), { resources: { memory } })
    expect(exit).toMatchObject({ failure: { code: 'out-of-memory' } })
    expect(exit.exit).toBeUndefined()
    await executor.remove('one')
    // One that is killed otherwise is not taken for it.
    expect((await run(shell('kill -KILL $$; sleep 1; sh -c "kill -KILL \\$\\$"; exit $?'), { resources: { memory } })).exit.failure?.code).toBe('exit-nonzero')
    await executor.remove('one')
    expect((await run(shell('head -c 60000000 /dev/zero > /tmp/a; echo $?'), { resources: { memory } })).exit.failure?.code).toBe('out-of-memory')
  })

  test('has only its share of the CPU', async () => {
    open({ evidenceInterval: 50 })
    const { exit } = await run(shell('timeout -s KILL 3 sh -c "while :; do :; done"; exit 0'), { resources: { cpu: 200 } })
    const { cpuMs = 0, wallMs = 1 } = exit.usage
    expect(cpuMs).toBeGreaterThan(0)
    // 200 of 1000, and what a period of 100 ms leaves over.
    expect(cpuMs / wallMs).toBeLessThan(0.35)
  })

  test('cannot raise its own limits, or become root by a program that would make it', async () => {
    open()
    const { stdout } = await run(
      shell(
        'ulimit -n 100000 2>/dev/null && echo raised; mount -t tmpfs x /tmp 2>/dev/null && echo mounted; unshare -Ur id 2>/dev/null; chown 0:0 /outputs 2>/dev/null && echo owned; exit 0',
      ),
    )
    expect(stdout).toBe('')
  })

  test('a volume that its image declares is scratch space, and no volume is left', async () => {
    const declared = await imageWith(
      `${own}-volume`,
      'VOLUME /data',
      'USER worker',
      'ENTRYPOINT ["sh","-c","id -un; head -c 2000000 /dev/zero > /data/big; wc -c < /data/big"]',
    )
    open({ scratch: 1 << 20 })
    const before = await docker('volume', 'ls', '--quiet')
    try {
      const { stdout } = await run({ type: 'docker', image: declared, pull: 'never' })
      expect(stdout).toBe('worker\n1048576\n')
      expect(await docker('volume', 'ls', '--quiet')).toBe(before)
    } finally {
      await executor.remove('one')
      await docker('image', 'rm', declared)
    }
  })

  test('runs as the user that the job names, and as root only where the node allows it', async () => {
    open()
    const spec = { ...shell('id -u'), user: 'worker' }
    expect((await run(spec)).stdout).toBe('1234\n')
    for (const user of ['root', '0', '00:7']) expect((await executor.assess(request({ ...spec, user }).task)).map(({ code }) => code)).toEqual(['policy'])
    await executor.remove('one')
    expect((await run({ ...spec, user: 'nobody-there' })).exit.failure).toMatchObject({ code: 'task-invalid' })
    await executor.remove('one')
    await executor[Symbol.asyncDispose]()
    open({ allowRoot: true })
    expect(await executor.assess(request({ ...spec, user: 'root' }).task)).toEqual([])
    expect((await run({ ...spec, user: 'root' })).stdout).toBe('0\n')
  })

  test('gives a device, a pipe, a link or a setuid program back to nobody', async () => {
    open()
    for (const script of ['mkfifo /outputs/x', 'ln -s /etc/shadow /outputs/x', 'cp /bin/busybox /outputs/x; chmod 4755 /outputs/x']) {
      const { exit } = await run(shell(script))
      expect([exit.exit, exit.failure?.code]).toEqual([undefined, 'output-unsafe'])
      expect(await readdir(join(root, 'outputs'))).toEqual([])
      await executor.remove('one')
    }
  })

  test('what is written beyond the quota is stopped while it is written, not only at the end', async () => {
    open({ outputInterval: 20 })
    const { exit } = await run(shell('i=0; while :; do i=$((i+1)); head -c 100000 /dev/zero > /outputs/$i; done'), { resources: { disk: 1 << 20 } })
    expect(exit.failure?.code).toBe('output-too-large')
    expect(await readdir(join(root, 'outputs'))).toEqual([])
  })

  test('inputs keep their mode and content, whatever a program with the same user does', async () => {
    open()
    await writeFile(join(root, 'inputs', 'a'), 'content')
    await chmod(join(root, 'inputs', 'a'), 0o666)
    await run(shell('echo x > /inputs/a; chmod 777 /inputs/a; exit 0'))
    expect(await readFile(join(root, 'inputs', 'a'), 'utf8')).toBe('content')
  })
})

withEngine('what a run tells', () => {
  test('entrypoint, arguments, environment and working directory are the job’s', async () => {
    open()
    const spec = {
      type: 'docker',
      image,
      entrypoint: ['/bin/sh', '-c', 'pwd; echo "$A"; echo "$1"; hostname', 'x'],
      args: ['b'],
      workingDirectory: '/data',
      pull: 'never',
    } as const
    expect((await run(spec, {}, { env: { A: 'a=1 "q"\n.' } })).stdout).toBe('/data\na=1 "q"\n.\nb\nskrei\n')
  })

  test('output is byte for byte what was written, with and without a last newline', async () => {
    open()
    const { stdout, stderr } = await run(shell('printf "\\303\\246\\000x"; printf "no newline" >&2'))
    expect([stdout, stderr]).toEqual(['æ\0x', 'no newline'])
  })

  test('the image that ran is named by its digest; what is not known is absent', async () => {
    open()
    const { exit } = await run(shell('sleep 0.2'))
    const id = await docker('image', 'inspect', '--format', '{{.Id}}', image)
    expect(exit.facts).toEqual({ image, imageId: id })
    expect(exit.usage.wallMs).toBeGreaterThanOrEqual(150)
  })

  test('evidence grows and never shrinks', async () => {
    open({ evidenceInterval: 20 })
    const { events, exit } = await run(shell('i=0; while [ $i -lt 3000000 ]; do i=$((i+1)); done'))
    const samples = events.flatMap((event) => (event.type === 'evidence' ? [event] : []))
    expect(samples.length).toBeGreaterThan(1)
    for (const name of ['cpuMs', 'memoryPeak'] as const) {
      const values = samples.map(({ counters }) => counters[name] ?? Number.NaN)
      expect(values).toEqual(values.toSorted((a, b) => a - b))
      expect(values.at(-1)).toBeGreaterThan(0)
    }
    expect(samples.map(({ at }) => at)).toEqual(samples.map(({ at }) => at).toSorted((a, b) => a - b))
    expect(exit.usage.cpuMs).toBe(samples.at(-1)?.counters['cpuMs'])
  })

  test('what a program used is counted to its end, however short it is', async () => {
    open({ evidenceInterval: 60_000 })
    // In hundredths of a second, as the kernel says: the program's own time, in user and in kernel mode.
    const { stdout, exit, events } = await run(shell('i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; cut -d " " -f 14,15 < /proc/$$/stat'))
    const own = stdout
      .trim()
      .split(' ')
      .reduce((sum, ticks) => sum + Number(ticks) * 10, 0)
    expect(own).toBeGreaterThan(0)
    // A tenth of its time may go unseen at the end.
    expect(exit.usage.cpuMs).toBeGreaterThanOrEqual(own * 0.8 - 10)
    expect(events.filter(({ type }) => type === 'evidence')).toHaveLength(1)
  })

  test('a program that a signal ended says which', async () => {
    open()
    const { exit } = await run(shell('sh -c "kill -SEGV \\$\\$"; exit $?'))
    expect(exit).toMatchObject({ exit: 139, failure: { code: 'exit-nonzero', detail: 'exit code 139, as of a program that SIGSEGV ended' } })
  })
})

const listen = (server: Server | ReturnType<typeof createTcpServer>, host: string): Promise<number> =>
  new Promise((resolve) => server.listen(0, host, () => resolve((server.address() as AddressInfo).port)))

/** An address of this machine that is no loop: where "another host" listens. */
const ownAddress = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal && !one.address.startsWith('172.') && !one.address.startsWith('10.213.'))?.address

describe.runIf(process.getuid?.() === 0)('with root', () => {
  withEngine('network mode http', () => {
    test('reaches the domains of the job by the proxy, and nothing else: no other domain or port, no service of the host, no name server', async () => {
      const heard: string[] = []
      const web = createServer((incoming, answer) => {
        heard.push(`${incoming.headers.host}${incoming.url}`)
        answer.end('the page\n')
      })
      // Listens on all addresses, as careless services do: also on that of the bridge.
      const careless = createTcpServer((socket) => {
        heard.push('careless')
        socket.end('secret\n')
      })
      const webPort = await listen(web, ownAddress ?? '127.0.0.1')
      const carelessPort = await listen(careless, '0.0.0.0')
      const resolved: string[] = []
      open(
        { network: { http: { ports: [webPort], privateAddresses: true } } },
        {
          resolve: async (host) => {
            resolved.push(host)
            return [ownAddress ?? '127.0.0.1']
          },
        },
      )
      const spec = shell(
        [
          `wget -q -O - http://allowed.example:${webPort}/page`,
          `wget -q -O - http://other.example:${webPort}/page 2>&1`,
          `wget -q -O - http://allowed.example:${carelessPort}/page 2>&1`,
          'gateway=$(getent hosts proxy.skrei 2>/dev/null | cut -d" " -f1); [ -n "$gateway" ] || gateway=$(grep proxy.skrei /etc/hosts | cut -f1)',
          'echo "gateway $gateway"',
          `for host in $gateway ${ownAddress} 172.17.0.1; do nc -w 2 $host ${carelessPort} </dev/null; nc -w 2 $host ${webPort} </dev/null; done`,
          'nslookup leak.example 2>&1 | tail -2',
          `printf "CONNECT other.example:${webPort} HTTP/1.1\\r\\n\\r\\n" | nc -w 5 $gateway 3128 | head -1`,
          `printf "CONNECT allowed.example:${webPort} HTTP/1.1\\r\\n\\r\\nGET /tunnel HTTP/1.0\\r\\nHost: inner\\r\\n\\r\\n" | nc -w 5 $gateway 3128 | tail -1`,
          'ls /sys/class/net; exit 0',
        ].join('\n'),
      )
      const network: Task['network'] = { mode: 'http', domains: ['allowed.example'] }
      try {
        expect(await executor.assess(request(spec, { network }).task)).toEqual([])
        const { stdout } = await run(spec, { network })
        const lines = stdout.split('\n')
        expect(lines[0]).toBe('the page')
        expect(lines.slice(1, 3)).toEqual([expect.stringContaining('403'), expect.stringContaining('403')])
        expect(lines[3]).toMatch(/^gateway 10\.213\.\d+\.\d+$/)
        expect(stdout).toContain('HTTP/1.1 403 Forbidden')
        expect(stdout).not.toContain('secret')
        expect(heard).toEqual([`allowed.example:${webPort}/page`, 'inner/tunnel'])
        expect(lines.filter((line) => line === 'the page')).toHaveLength(2)
        // Nobody was asked for the name that the program looked up by itself.
        expect(resolved).toEqual(['allowed.example', 'allowed.example'])
      } finally {
        web.close()
        careless.close()
      }
    })

    test('domains that lead into private networks are refused', async () => {
      open({ network: { http: true } }, { resolve: async (host) => (host === 'mapped.example' ? ['::ffff:127.0.0.1'] : ['127.0.0.1', '169.254.169.254']) })
      const network: Task['network'] = { mode: 'http', domains: ['inside.example', 'mapped.example', '127.0.0.1'] }
      const { stdout } = await run(shell('for host in inside.example mapped.example 127.0.0.1; do wget -q -O - http://$host/ 2>&1; done; exit 0'), { network })
      expect(stdout.match(/403/g)).toHaveLength(3)
    })

    test('is refused where the node does not allow it, or not these domains, or cannot guard the network', async () => {
      const codes = async (network: Task['network'], options: DockerOptions['network'], seams: NetworkSeams = {}) => {
        open(options === undefined ? {} : { network: options }, seams)
        return (await executor.assess(request(shell('true'), { network }).task)).map(({ code }) => code)
      }
      const http = (...domains: readonly string[]): Task['network'] => ({ mode: 'http', domains: [...domains] })
      expect(await codes(http('a.example'), undefined)).toEqual(['network-unsupported'])
      expect(await codes({ mode: 'full' }, { http: true })).toEqual(['network-unsupported'])
      expect(await codes({ mode: 'http' }, { http: true })).toEqual(['task-unsupported'])
      expect(await codes(http('a.example', '*.b.example'), { http: { domains: ['*.b.example', 'a.example'] } })).toEqual([])
      expect(await codes(http('b.example'), { http: { domains: ['*.b.example'] } })).toEqual(['network-unsupported'])
      expect(await codes(http('a.example'), { http: true }, { guard: () => Promise.reject(new Error('no iptables')) })).toEqual(['network-unsupported'])
    })
  })
})

withEngine('network mode full', () => {
  test('is the network of the engine, where the node allows it', async () => {
    open({ network: { full: true } })
    const network = { mode: 'full' } as const
    expect(await executor.assess(request(shell('true'), { network }).task)).toEqual([])
    expect((await run(shell('ls /sys/class/net'), { network })).stdout).toContain('eth0')
  })
})
