import { isIP } from 'node:net'
import { FailureError } from '@skrei/job-spec'
import { isPublicAddress } from '@skrei/job-spec/public-address'

/** What a host is refused with that is, or resolves to, no public address. */
export const forbidden = (hostname: string, address?: string) =>
  new FailureError(
    'source-forbidden',
    `${hostname}${address === undefined ? '' : ` (${address})`} is not an address on the public Internet, and this node allows no other`,
  )

/** Throws `source-forbidden` where a host is given as an address that the node does not open. Names are checked when they are looked up. */
export const checkLiteral = (host: string, allowPrivateAddresses: boolean): void => {
  const hostname = host.startsWith('[') ? host.slice(1, -1) : host
  if (!allowPrivateAddresses && isIP(hostname) !== 0 && !isPublicAddress(hostname)) throw forbidden(hostname)
}
