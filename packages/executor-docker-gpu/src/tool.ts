import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** What came of a vendor's tool. `failed` and `too-long` keep what it wrote until then. */
export type ToolOutput =
  | { readonly status: 'ok'; readonly stdout: string }
  | { readonly status: 'missing' }
  | { readonly status: 'failed'; readonly stdout: string; readonly detail: string }

export interface ToolOptions {
  readonly signal?: AbortSignal
}

/** Runs a tool to its end, or kills it; only an aborted signal makes it reject. */
export type RunTool = (command: string, args: readonly string[], options: ToolOptions) => Promise<ToolOutput>

/** The tools of a machine with many devices write some hundred kilobytes. */
const longestOutput = 4 * 2 ** 20
/** Of what it says went wrong. */
const longestError = 4096

/** Where vendors put their tools without putting them on the PATH. */
const toolFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin', '/opt/rocm/bin', '/usr/lib/wsl/lib']

/** Whether NVIDIA's hook is where the engine finds it, which it asks nobody about: engines before 25 need no more to give devices to containers. */
export const runtimeHookInstalled = (): boolean =>
  toolEnvironment()
    ['PATH']?.split(':')
    .some((folder) => existsSync(join(folder, 'nvidia-container-runtime-hook'))) === true

/** A tool gets no more of this process than where programs are: no secrets, no settings of loaders, and messages in English. */
export const toolEnvironment = (path = process.env['PATH']): Record<string, string> => ({
  PATH: [...(path ? [path] : []), ...toolFolders].join(':'),
  LC_ALL: 'C',
})

/** Ends a tool that runs, and what it started. One that hangs in its driver dies when the driver lets go of it: nobody waits for that. */
export const killTool = (child: ChildProcess): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has gone already.
  }
  child.stdout?.destroy()
  child.stderr?.destroy()
  child.unref()
}

/** Runs tools as processes of their own. `timeout` in milliseconds: a driver in trouble holds its tool for ever. */
export const toolRunner =
  (timeout = 20_000): RunTool =>
  (command, args, { signal }) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: toolEnvironment(), cwd: '/', detached: true })
      const chunks: Buffer[] = []
      let [length, errors] = [0, '']
      const stdout = (): string => Buffer.concat(chunks).toString('utf8')
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', aborted)
        act()
      }
      const fail = (detail: string): void => settle(() => resolve({ status: 'failed', stdout: stdout(), detail: `${command} ${detail}` }))
      const kill = (detail: string): void => {
        killTool(child)
        fail(detail)
      }
      const aborted = (): void => {
        killTool(child)
        settle(() => reject(signal?.reason))
      }
      const timer = setTimeout(() => kill(`did not end within ${timeout} ms`), timeout)
      signal?.addEventListener('abort', aborted)
      child.stdout.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > longestOutput) return kill(`wrote more than ${longestOutput} bytes`)
        chunks.push(chunk)
      })
      child.stderr.on('data', (chunk: Buffer) => {
        if (errors.length < longestError) errors += chunk.toString('utf8')
      })
      child.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ENOENT' ? settle(() => resolve({ status: 'missing' })) : fail(`could not be started: ${error.code ?? error.message}`),
      )
      child.on('close', (code, killed) => {
        if (code === 0) return settle(() => resolve({ status: 'ok', stdout: stdout() }))
        // NVIDIA's tool says on standard output what went wrong.
        const [said = ''] = (errors.trim() || stdout().trim()).slice(0, 300).split('\n')
        fail(`ended with ${killed ?? `code ${code}`}${said === '' ? '' : `: ${said}`}`)
      })
    })
