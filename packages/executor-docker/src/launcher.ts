// The process that starts containers for a node: started by `launch.ts`, not imported. It is there for one moment only: the node may be killed while the engine starts a container,
// and nobody would then tell the engine when to end it. This process is in a session of its own, ends what it has begun, and goes when the node is gone.
import { request } from 'node:http'
import type { LaunchOrder, LaunchReport } from './launch.ts'

const [socketPath = ''] = process.argv.slice(2)
let pending = 0
let alone = false

const post = (path: string): Promise<{ readonly status: number; readonly text: string }> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, method: 'POST', agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        text = (text + part).slice(0, 16_384)
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
      answer.on('error', reject)
    })
    asked.on('error', reject)
    asked.end()
  })

const report = (told: LaunchReport): void => {
  if (process.connected) process.send?.(told)
}

const leave = (): void => {
  // What was sent last is with the engine by then.
  if (alone && pending === 0) setTimeout(() => process.exit(0), 250)
}

const launch = async ({ key, container, seconds }: LaunchOrder): Promise<void> => {
  pending++
  try {
    const { status, text } = await post(`/containers/${container}/start`)
    if (status < 400) void end(key, container, seconds)
    report({ key, of: 'start', status, text })
  } catch (error) {
    report({ key, of: 'start', text: said(error) })
  } finally {
    pending--
    leave()
  }
}

/** The engine answers this when the container has ended, and keeps to it if nobody waits for the answer. */
const end = async (key: number, container: string, seconds: number): Promise<void> => {
  try {
    report({ key, of: 'end', ...(await post(`/containers/${container}/stop?t=${seconds}`)) })
  } catch (error) {
    report({ key, of: 'end', text: said(error) })
  }
}

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error))

process.on('message', (order: LaunchOrder) => void launch(order))
process.on('disconnect', () => {
  alone = true
  leave()
})
