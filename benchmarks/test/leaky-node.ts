// A node for kills.ts that leaves a process behind: a child that does not notice the node's death.
import { spawn } from 'node:child_process'

spawn(process.execPath, ['-e', 'setInterval(() => {}, 2 ** 30)'], { stdio: 'ignore' }).unref()
await import('../src/kills/node-process.ts')
