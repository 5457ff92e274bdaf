/** Not in a thread: its standard input is another one, which is over at once. Not kept alive by it either. */
const preload = `
import { isMainThread } from 'node:worker_threads'
if (isMainThread) process.stdin.on('close', () => process.exit(1)).resume().unref()`

/**
 * A flag for Node: the process ends when the other end of its standard input, a pipe, is let go of, so with the one that started it, however that ends. What it starts itself must not inherit the
 * flag (`execArgv`).
 */
export const endsWithParent = `--import=data:text/javascript,${encodeURIComponent(preload)}`
