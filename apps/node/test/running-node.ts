import type { Ended, JsonEvent, Place, Started } from './command-line.ts'

/** `skrei node start`, run for real. */
export interface RunningNode {
  readonly api: string
  readonly nodeId: string
  /** Where other nodes reach it. */
  readonly address: string
  readonly started: Started
  /** Ends it with this signal, and waits for its end. */
  end(signal?: NodeJS.Signals): Promise<Ended>
}

/** Starts a node on the home of a place. Its API is at any free port, unless a flag says otherwise. */
export const startNode = async (here: Place, ...flags: readonly string[]): Promise<RunningNode> => {
  const port = flags.includes('--api-port') ? [] : ['--api-port', '0']
  const started = here.start('node', 'start', '--json', ...port, ...flags)
  const ready = JSON.parse(await started.line((line) => line.includes('"type":"ready"'))) as JsonEvent
  const [address = ''] = ready['addresses'] as readonly string[]
  return {
    api: String(ready['api']),
    nodeId: String(ready['nodeId']),
    address,
    started,
    end: async (signal = 'SIGTERM') => {
      started.child.kill(signal)
      return await started.ended
    },
  }
}
