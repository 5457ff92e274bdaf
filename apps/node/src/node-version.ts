import { type CliError, cliError } from './cli-errors.ts'

/** `engines` of the package: node:sqlite, which the node's state needs, and what npm only warns of. */
const oldest = [22, 18] as const

/** What is wrong with a Node of this version (`24.21.0`), if anything. */
export const nodeVersionError = (version: string): CliError | undefined => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const fits = major > oldest[0] || (major === oldest[0] && minor >= oldest[1])
  return fits ? undefined : cliError('node-too-old', `this is Node.js ${version}, skrei needs ${oldest.join('.')} or newer`)
}
