import { readFile, stat } from 'node:fs/promises'
import type { RegistryCredentials } from './engine-client.ts'

const largest = 1 << 20
/** Under which the Docker client files what belongs to `docker.io`. */
const hubNames = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io']

/**
 * What a file in the format of the Docker client (`~/.docker/config.json`, its `auths`) has for a registry; undefined where it has nothing. The file is read each time,
 * so that what is renewed in it holds. Throws where it cannot be read, is no such file, or leaves the registry to a helper program (`credHelpers`, `credsStore`): none is started.
 */
export const credentialsFor = async (registry: string, file: string): Promise<RegistryCredentials | undefined> => {
  if ((await stat(file)).size > largest) throw new Error(`${file} is larger than a file of credentials`)
  const content = read(await readFile(file, 'utf8'), file)
  const auths = child(content, 'auths')
  const names = registry === 'docker.io' ? hubNames : [registry, `https://${registry}`, `http://${registry}`]
  const serveraddress = names.find((name) => Object.hasOwn(auths, name))
  if (serveraddress === undefined) {
    if (content['credsStore'] !== undefined || Object.hasOwn(child(content, 'credHelpers'), registry))
      throw new Error(`${file} leaves the credentials of ${registry} to a helper program, and none is started: put them under "auths"`)
    return undefined
  }
  const entry = child(auths, serveraddress)
  const { auth, username, password, identitytoken } = entry
  if (typeof identitytoken === 'string') return { identitytoken, serveraddress }
  if (typeof auth === 'string') {
    const decoded = Buffer.from(auth, 'base64').toString('utf8')
    const colon = decoded.indexOf(':')
    if (colon === -1) throw new Error(`${file}: the entry of ${serveraddress} is not base64 of user:password`)
    return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1), serveraddress }
  }
  if (typeof username === 'string' && typeof password === 'string') return { username, password, serveraddress }
  throw new Error(`${file}: the entry of ${serveraddress} has neither auth nor identitytoken nor username and password`)
}

type Entries = Readonly<Record<string, unknown>>
const isEntries = (value: unknown): value is Entries => typeof value === 'object' && value !== null && !Array.isArray(value)

// What the parser says would quote the file, and with it a secret.
const read = (text: string, file: string): Entries => {
  try {
    const value: unknown = JSON.parse(text)
    if (isEntries(value)) return value
  } catch {
    // Falls through: see above.
  }
  throw new Error(`${file} is not a file of credentials: not a JSON object`)
}

const child = (parent: Entries, key: string): Entries => {
  const value = Object.hasOwn(parent, key) ? parent[key] : undefined
  return isEntries(value) ? value : {}
}
