import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { RunRequest } from '@skrei/executor'
import { taskFor } from '@skrei/executor/conformance'
import type { Task } from '@skrei/job-spec'
import { shell } from './docker-engine.ts'

/** What a node that dies is told, as JSON. */
export interface CrashSetting {
  readonly directory: string
  readonly namespace: string
  /** Below it, a folder of outputs an execution. */
  readonly outputs: string
  readonly ids: readonly string[]
  readonly script: string
  readonly timeout: number
  /** Executions whose ids begin with it have network mode http. */
  readonly networked?: string
}

export const requestOf = async ({ outputs, script, timeout, networked }: CrashSetting, id: string): Promise<RunRequest> => {
  const path = join(outputs, encodeURIComponent(id))
  await mkdir(path, { recursive: true })
  const network: Task['network'] = networked !== undefined && id.startsWith(networked) ? { mode: 'http', domains: ['example.org'] } : { mode: 'none' }
  return {
    id,
    task: { ...taskFor(shell(script)), timeout, network },
    seed: new Uint8Array(32),
    mounts: [{ path, at: '/outputs', writable: true }],
    files: {},
    env: {},
    devices: [],
    from: { stdout: 0, stderr: 0 },
  }
}
