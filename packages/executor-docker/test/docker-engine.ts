import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, test } from 'vitest'
import { dockerodeClient } from '../src/dockerode-client.ts'

const socketPath = '/var/run/docker.sock'
export const engine = dockerodeClient(socketPath)

const reason = await engine.version().then(
  () => undefined,
  (error: Error) => error.message,
)

/** Tests that need the engine: skipped, and seen to be, where there is none; failed where CI should have one. */
export const withEngine = (name: string, tests: () => void): void => {
  if (reason === undefined) describe(name, tests)
  else if (process.env['CI'] === 'true')
    test(name, () => {
      throw new Error(`${reason}; run: bash scripts/ci-machine`)
    })
  else test.skip(`${name} (skipped: ${reason}; run: sudo bash scripts/ci-machine)`, () => undefined)
}

/** A namespace of a test's own, so that equal execution ids of tests that run side by side are not the same container. */
export const namespace = (): string => `skrei-test-${randomUUID().slice(0, 8)}`

const execute = promisify(execFile)
export const docker = async (...args: readonly string[]): Promise<string> => (await execute('docker', args, { maxBuffer: 1 << 26 })).stdout.trim()

/** The image that tests run: a static busybox and its names. Made once a machine; kept, as making it takes longer than most tests. */
export const image = 'skrei-test/busybox:3'

const make = async (name: string, changes: readonly string[]): Promise<void> => {
  const root = await mkdtemp(join(tmpdir(), 'skrei-image-'))
  try {
    for (const folder of ['bin', 'etc', 'tmp', 'data']) await mkdir(join(root, folder))
    for (const folder of ['tmp', 'data']) await chmod(join(root, folder), 0o1777)
    await copyFile('/bin/busybox', join(root, 'bin/busybox'))
    const { stdout } = await execute('/bin/busybox', ['--list'])
    for (const applet of stdout.trim().split('\n')) if (applet !== 'busybox') await symlink('busybox', join(root, 'bin', applet))
    await writeFile(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nworker:x:1234:1234::/:/bin/sh\n')
    await writeFile(join(root, 'etc/group'), 'root:x:0:\nworker:x:1234:\n')
    const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const imported = spawn('docker', ['import', ...changes.flatMap((change) => ['--change', change]), '-', name], { stdio: [tar.stdout, 'ignore', 'inherit'] })
    const [code] = await once(imported, 'exit')
    if (code !== 0) throw new Error(`docker import ended with ${code}`)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** The image with what its configuration says besides. */
export const imageWith = async (name: string, ...changes: readonly string[]): Promise<string> => {
  await make(name, ['ENV PATH=/bin', ...changes])
  return name
}

/** To be awaited before the first container of {@link image}. */
export const haveImage = async (): Promise<void> => {
  if ((await engine.image(image)) === undefined) await make(image, ['ENV PATH=/bin'])
}

/** What runs `script` in a shell. */
export const shell = (script: string, ...args: readonly string[]) => ({
  type: 'docker' as const,
  image,
  entrypoint: ['sh', '-c', script, 'sh'],
  args: [...args],
  pull: 'never' as const,
})
