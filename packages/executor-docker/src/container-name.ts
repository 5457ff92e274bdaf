import { createHash } from 'node:crypto'

/** Docker's names: letters, digits, `_`, `.` and `-`. */
const plain = /^[A-Za-z0-9_.-]{1,200}$/

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The container's name of an execution: `skrei.<id>`, or `skrei-<its hash>` where the id is no name. */
export const containerName = (namespace: string, id: string): string => (plain.test(id) ? `${namespace}.${id}` : `${namespace}-${sha256(id)}`)

/** The name of a bridge of an execution's own: an interface has at most 15 characters. */
export const bridgeName = (container: string): string => `${bridgePrefix}${sha256(container).slice(0, 15 - bridgePrefix.length)}`
export const bridgePrefix = 'skrei'

/** What tells a node's containers from another's: its directory. */
export const homeLabel = (directory: string): string => sha256(directory).slice(0, 32)

export const labels = { home: 'skrei.home', execution: 'skrei.execution', spec: 'skrei.spec', job: 'skrei.job', node: 'skrei.node' } as const
