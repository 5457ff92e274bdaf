import { constants } from 'node:os'
import type { Outcome } from '@skrei/executor/executions'
import type { Failure, Task } from '@skrei/job-spec'
import type { EngineContainer } from './engine-client.ts'

type Ending = Pick<Outcome, 'exit' | 'failure'>

const signals = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** What a container that has ended came to, its outputs apart. */
export const endingOf = (container: EngineContainer, task: Task): Ending => {
  const { exitCode, outOfMemory, startedAt, endedAt } = container
  if (outOfMemory && exitCode !== 0) return { failure: { code: 'out-of-memory', detail: `needed more than ${task.resources.memory} bytes of memory` } }
  if (exitCode === 137 && startedAt !== undefined && endedAt !== undefined && endedAt - startedAt >= task.timeout)
    return { failure: { code: 'timeout', detail: `ran longer than ${task.timeout} ms and was killed` } }
  if (exitCode === 0) return { exit: 0 }
  // An engine tells of a signal only by the number that a shell would give it.
  const signal = exitCode > 128 ? signals.get(exitCode - 128) : undefined
  return {
    exit: exitCode,
    failure: { code: 'exit-nonzero', detail: `exit code ${exitCode}${signal === undefined ? '' : `, as of a program that ${signal} ended`}` },
  }
}

/** How engine and runtimes tell that a device could not be given: it has gone, or its driver is in trouble. */
const deviceTrouble = /error gathering device information|could not select device driver|CDI device|error running (?:\w+ )?hook/i

/** Why a container was not made or did not start, where that is the image's or the job's fault. The engine says it in text only; what is not known here is the node's fault. `devices`: how many it was to be given. */
export const startFailure = (message: string, devices: number): Failure | undefined => {
  if (devices > 0 && deviceTrouble.test(message)) return undefined
  const detail = message
    .replace(/^.*unable to start container process: /s, '')
    .trim()
    .slice(0, 1000)
  if (/\bexec\b.*(?:not found|no such file|exec format error|permission denied|is a directory)|chdir to cwd/is.test(message))
    return { code: 'module-invalid', detail: `the program cannot be started: ${detail}` }
  if (/unable to find (?:user|group)|no matching entries in (?:passwd|group) file/i.test(message))
    return { code: 'task-invalid', detail: `engine.user is not in the image: ${detail}` }
  if (/uids and gids must be in range/i.test(message)) return { code: 'task-invalid', detail: `engine.user is no user: ${detail}` }
  if (/cannot mkdir: .* is not a directory/i.test(message))
    return { code: 'task-invalid', detail: `engine.workingDirectory is no directory of the image: ${detail}` }
  if (/no command specified/i.test(message)) return { code: 'task-invalid', detail: 'the image has no command: name one in engine.entrypoint or engine.args' }
  if (/error mounting .*not a directory|minimum memory limit|range of cpus/is.test(message)) return { code: 'task-invalid', detail }
  return undefined
}
