import { isIP, type LookupFunction } from 'node:net'
import { rootCertificates } from 'node:tls'
import { isPublicAddress } from '@skrei/job-spec/public-address'
import { Agent, buildConnector } from 'undici'
import { checkLiteral, forbidden } from './check-literal.ts'
import type { Resolve } from './resolve.ts'

export interface GuardedAgentOptions {
  readonly allowPrivateAddresses: boolean
  readonly connectTimeout: number
  readonly ca: readonly string[]
  readonly resolve: Resolve
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
