import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Bytes that the connections of these ports have sent so far, each connection's two ends together: what TCP carries, without its headers. Asks `ss` of iproute2. */
export const bytesBetween = async (ports: readonly number[]): Promise<number> => {
  const wanted = new Set(ports)
  const { stdout } = await promisify(execFile)('ss', ['-tinHO'], { maxBuffer: 2 ** 26 })
  let bytes = 0
  for (const line of stdout.split('\n')) {
    const [, , , local, peer] = line.trim().split(/\s+/)
    if (wanted.has(portOf(local)) || wanted.has(portOf(peer))) bytes += Number(/\bbytes_sent:(\d+)/.exec(line)?.[1] ?? 0)
  }
  return bytes
}

const portOf = (address: string | undefined): number => Number(address?.slice(address.lastIndexOf(':') + 1))
