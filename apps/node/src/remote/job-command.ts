import { commandLine } from '../called-as.ts'
import type { NodeOption } from './connect.ts'

/** The text of a command about a job to type next. It names the node where the command that says so did: what stands in the environment is there for the next one too. */
export const jobCommand = (words: string, { node }: NodeOption): string =>
  commandLine(`job ${words}${node === undefined || node === '' ? '' : ` --node ${node}`}`)
