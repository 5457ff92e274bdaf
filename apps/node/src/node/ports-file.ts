import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Logger } from '@skrei/scheduler'
import * as z from 'zod'
import type { Home } from '../home.ts'

/** By the address with port 0, as the configuration says it. */
const portsSchema = z.record(z.string(), z.int().min(1).max(65_535))
type Ports = z.output<typeof portsSchema>

/** `/ip4/127.0.0.1/tcp/0/ws` -> its parts. */
interface Parts {
  readonly family: string
  readonly host: string
  readonly port: number
  /** `ws`, or nothing. */
  readonly rest: string
}

const partsOf = (address: string): Parts => {
  const [, family = '', host = '', , port = '0', ...rest] = address.split('/')
  return { family, host, port: Number(port), rest: rest[0] === 'ws' ? 'ws' : '' }
}

/**
 * The addresses to listen on, where port 0 is that of the last start: other nodes name it in their `peers`. One that another program has meanwhile stays 0: any that is free.
 * (One that is taken between this look and the start ends the start, and the next one takes another.)
 */
export const lastPorts = async (home: Pick<Home, 'portsFile'>, listen: readonly string[], logger: Logger): Promise<readonly string[]> => {
  const ports = readPorts(home)
  const taken = new Set(listen.map((address) => partsOf(address).port))
  return await Promise.all(
    listen.map(async (address) => {
      const { host, port, family, rest } = partsOf(address)
      const last = port === 0 && Object.hasOwn(ports, address) ? ports[address] : undefined
      if (last === undefined || taken.has(last)) return address
      taken.add(last)
      if (await isFree(host, last)) return `/${family}/${host}/tcp/${last}${rest === '' ? '' : '/ws'}`
      logger.warn('the port of the last start is not free, another is taken: peers that name this node by it need its new address', { address, port: last })
      return address
    }),
  )
}

/** As no address of `listen` is written. */
const apiKey = (host: string): string => `http://${host}:0`
/** What is kept of `listen`, or of the API. */
const keptOf = (home: Pick<Home, 'portsFile'>, what: 'listen' | 'api'): Ports =>
  Object.fromEntries(Object.entries(readPorts(home)).filter(([key]) => key.startsWith('/') === (what === 'listen')))

/** The port that the API had at the last start, where it is to be at any that is free. */
export const lastApiPort = (home: Pick<Home, 'portsFile'>, host: string): number | undefined => {
  const ports = readPorts(home)
  return Object.hasOwn(ports, apiKey(host)) ? ports[apiKey(host)] : undefined
}

/** Keeps at which port the API is that was to be at any. */
export const keepApiPort = (home: Pick<Home, 'portsFile'>, host: string, port: number): void =>
  writePorts(home, { ...keptOf(home, 'listen'), [apiKey(host)]: port })

/** Keeps what became of port 0 of `listen`. `addresses`: where the node listens now. */
export const keepPorts = (home: Pick<Home, 'portsFile'>, listen: readonly string[], addresses: readonly string[]): void => {
  const ports: Ports = keptOf(home, 'api')
  const taken = new Set(listen.map((address) => partsOf(address).port))
  const now = addresses.map(partsOf)
  for (const address of listen) {
    const wanted = partsOf(address)
    if (wanted.port !== 0) continue
    const isAny = wanted.host === '0.0.0.0' || wanted.host === '::'
    const found = now.find(
      ({ family, host, port, rest }) => family === wanted.family && rest === wanted.rest && (isAny || host === wanted.host) && !taken.has(port),
    )
    if (found === undefined) continue
    taken.add(found.port)
    ports[address] = found.port
  }
  writePorts(home, ports)
}

const writePorts = (home: Pick<Home, 'portsFile'>, ports: Ports): void => {
  const temporary = `${home.portsFile}.new`
  rmSync(temporary, { force: true })
  writeFileSync(temporary, `${JSON.stringify(ports)}\n`, { mode: 0o600, flag: 'wx' })
  renameSync(temporary, home.portsFile)
}

/** A file that is not there, or is damaged, names none. */
const readPorts = ({ portsFile }: Pick<Home, 'portsFile'>): Ports => {
  try {
    return portsSchema.safeParse(JSON.parse(readFileSync(portsFile, 'utf8'))).data ?? {}
  } catch {
    return {}
  }
}

const isFree = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
