import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { rootCertificates } from 'node:tls'
import { FailureError } from '@skrei/job-spec'
import { Agent, buildConnector } from 'undici'
import { limiter } from './limiter.ts'
import { isPublicAddress } from './public-address.ts'

export interface ResolvedAddress {
  readonly address: string
  readonly family: 4 | 6
}

/** Finds the addresses of a name; throws where there are none. */
export type Resolve = (hostname: string) => Promise<readonly ResolvedAddress[]>

export interface GuardedAgentOptions {
  readonly allowPrivateAddresses: boolean
  readonly connectTimeout: number
  readonly ca: readonly string[]
  readonly resolve: Resolve
}

const forbidden = (hostname: string, address?: string) =>
  new FailureError(
    'source-forbidden',
    `${hostname}${address === undefined ? '' : ` (${address})`} is not an address on the public Internet, and this node allows no other`,
  )

// Two at a time: the system's resolver works on the threads that serve the file system too, and a slow name server must not hold all of them.
const inTurn = limiter(2)

export const systemResolve: Resolve = (hostname) =>
  inTurn(async () => {
    const found = await lookup(hostname, { all: true, order: 'verbatim' })
    return found.map(({ address }) => ({ address, family: isIP(address) === 6 ? 6 : 4 }))
  })

/** Throws `source-forbidden` where a host is given as an address that the node does not open. Names are checked when they are looked up. */
export const checkLiteral = (host: string, allowPrivateAddresses: boolean): void => {
  const hostname = host.startsWith('[') ? host.slice(1, -1) : host
  if (!allowPrivateAddresses && isIP(hostname) !== 0 && !isPublicAddress(hostname)) throw forbidden(hostname)
}

/**
 * An undici agent that connects to public addresses only. Names are resolved here, once for each connection, and the connection is made to
 * an address that passed: a name that answers differently the next time (DNS rebinding) gains nothing. Literal addresses, which never
 * reach a resolver, are checked in the same place. Environment variables for proxies are not read.
 */
export const guardedAgent = ({ allowPrivateAddresses, connectTimeout, ca, resolve }: GuardedAgentOptions): Agent => {
  const allowed = (address: string) => isIP(address) !== 0 && (allowPrivateAddresses || isPublicAddress(address))

  const guardedLookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname).then(
      (found) => {
        const usable = found.filter(
          ({ address, family }) => allowed(address) && (options.family !== 4 && options.family !== 6 ? true : options.family === family),
        )
        const [first] = usable
        if (first === undefined) callback(forbidden(hostname, found[0]?.address), '', 0)
        else if (options.all) callback(null, [...usable])
        else callback(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    )
  }

  const connect = buildConnector({
    timeout: connectTimeout,
    lookup: guardedLookup,
    allowH2: false,
    ...(ca.length === 0 ? {} : { ca: [...rootCertificates, ...ca] }),
  })
  return new Agent({
    allowH2: false,
    connect: (options, callback) => {
      try {
        checkLiteral(options.hostname, allowPrivateAddresses)
      } catch (error) {
        callback(error instanceof Error ? error : new Error(String(error)), null)
        return
      }
      connect(options, callback)
    },
  })
}
