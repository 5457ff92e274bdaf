import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { limiter } from './limiter.ts'

export interface ResolvedAddress {
  readonly address: string
  readonly family: 4 | 6
}

/** Finds the addresses of a name; throws where there are none. */
export type Resolve = (hostname: string) => Promise<readonly ResolvedAddress[]>

// Two at a time: the system's resolver works on the threads that serve the file system too, and a slow name server must not hold all of them.
const inTurn = limiter(2)

export const systemResolve: Resolve = (hostname) =>
  inTurn(async () => {
    const found = await lookup(hostname, { all: true, order: 'verbatim' })
    return found.map(({ address }) => ({ address, family: isIP(address) === 6 ? 6 : 4 }))
  })
