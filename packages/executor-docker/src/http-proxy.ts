import { lookup } from 'node:dns/promises'
import { createServer, request as send } from 'node:http'
import { connect, isIP, type Socket } from 'node:net'
import { isPublicAddress } from '@skrei/job-spec/public-address'
import { isDomain } from './domains.ts'

export interface ProxyOptions {
  readonly address: string
  readonly port: number
  /** The hosts that can be reached. */
  readonly domains: readonly string[]
  readonly ports: readonly number[]
  readonly privateAddresses: boolean
  /** All addresses of a name. Default: the system's resolver. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
}

const mostConnections = 256
const idle = 300_000
/** Headers of one connection, which end at a proxy: RFC 9110, 7.6.1. */
const ofConnection = new Set(['connection', 'proxy-connection', 'proxy-authorization', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade'])

class Forbidden extends Error {}

/**
 * A proxy for HTTP, and for HTTPS by `CONNECT`, that leads to the allowed hosts and ports and answers 403 for all others. It resolves the names itself, and connects to the address that
 * it has checked. What goes through a tunnel it does not see: what is allowed is the host that is connected to.
 */
export const httpProxy = async (options: ProxyOptions): Promise<AsyncDisposable> => {
  const resolve = options.resolve ?? (async (host) => (await lookup(host, { all: true })).map(({ address }) => address))

  /** The address to connect to. */
  const admitted = async (host: string, port: number): Promise<string> => {
    if (!isDomain(host, options.domains)) throw new Forbidden(`the job does not name ${host} among its domains`)
    if (!options.ports.includes(port)) throw new Forbidden(`port ${port} cannot be reached`)
    const addresses = isIP(host) === 0 ? await resolve(host) : [host]
    const found = addresses.find((address) => options.privateAddresses || isPublicAddress(address))
    if (found === undefined) throw new Forbidden(`${host} has no public address`)
    return found
  }

  const server = createServer({ maxHeaderSize: 32_768, requestTimeout: idle }, (incoming, answer) => {
    const refuse = (status: number, text: string): void => {
      if (answer.headersSent) answer.destroy()
      else answer.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
    }
    const pass = async (): Promise<void> => {
      const url = URL.canParse(incoming.url ?? '') ? new URL(incoming.url ?? '') : undefined
      if (url === undefined || url.protocol !== 'http:') return refuse(400, 'this is a proxy: it takes http://host/path, and CONNECT for https')
      const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
      const port = url.port === '' ? 80 : Number(url.port)
      const address = await admitted(host, port)
      const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => !ofConnection.has(name)))
      const outgoing = send({
        host: address,
        port,
        method: incoming.method,
        path: `${url.pathname}${url.search}`,
        headers: { ...headers, host: url.host },
        agent: false,
        timeout: idle,
      })
      outgoing.on('response', (response) => {
        const passed = Object.fromEntries(Object.entries(response.headers).filter(([name]) => !ofConnection.has(name)))
        answer.writeHead(response.statusCode ?? 502, passed)
        response.pipe(answer)
        response.on('error', () => answer.destroy())
      })
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')))
      outgoing.on('error', (error) => refuse(502, `${host} cannot be reached: ${error.message}`))
      answer.on('close', () => outgoing.destroy())
      incoming.pipe(outgoing)
    }
    pass().catch((error: unknown) => refuse(error instanceof Forbidden ? 403 : 502, messageOf(error)))
  })

  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => held(socket))
  const held = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    socket.setTimeout(idle, () => socket.destroy())
  }

  server.on('connect', (incoming, client: Socket, head: Buffer) => {
    const refuse = (status: string, text: string): void =>
      void client.end(`HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n${text}\n`)
    const tunnel = async (): Promise<void> => {
      const url = URL.canParse(`https://${incoming.url}/`) ? new URL(`https://${incoming.url}/`) : undefined
      if (url === undefined) return refuse('400 Bad Request', 'CONNECT takes host:port')
      const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
      const port = url.port === '' ? 443 : Number(url.port)
      const target = connect({ host: await admitted(host, port), port })
      held(target)
      if (client.destroyed) return void target.destroy()
      target.once('connect', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n')
        if (head.length > 0) target.write(head)
        target.pipe(client).pipe(target)
      })
      target.on('close', () => client.destroy())
      client.on('close', () => target.destroy())
    }
    tunnel().catch((error: unknown) => refuse(error instanceof Forbidden ? '403 Forbidden' : '502 Bad Gateway', messageOf(error)))
  })

  server.maxConnections = mostConnections
  await new Promise<void>((listening, failed) => {
    server.once('error', failed)
    server.listen({ host: options.address, port: options.port }, () => {
      server.off('error', failed)
      listening()
    })
  })
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
