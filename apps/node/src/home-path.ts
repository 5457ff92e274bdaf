import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** Where SKREI_HOME is, without touching it. Loads on every Node, so that a fault can be told on every Node. */
export const homePath = (environment: NodeJS.ProcessEnv = process.env): string => resolve(environment['SKREI_HOME'] || join(homedir(), '.skrei'))
