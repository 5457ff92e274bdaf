import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a TCP port that can be cut, silenced and slowed. */
export interface Proxy extends AsyncDisposable {
  readonly port: number
  /** How many connections it has taken. */
  readonly connections: number
  /** Ends what goes through it now. */
  cut(): void
  /** Carries nothing any more, without a word: as a cable that was pulled. */
  silence(): void
  /** Milliseconds that each piece waits from now on. */
  delay: number
  /** Takes connections, or ends them at once. */
  open: boolean
}

export const proxyTo = async (target: () => number): Promise<Proxy> => {
  const sockets = new Set<Socket>()
  let silent = false
  const state = { delay: 0, open: true, connections: 0 }
  const pipe = (from: Socket, to: Socket): void => {
    from.on('data', (bytes) => {
      if (silent) return
      if (state.delay === 0) to.write(bytes)
      else setTimeout(() => to.write(bytes), state.delay)
    })
    from.on('close', () => {
      sockets.delete(from)
      if (!silent) to.destroy()
    })
    from.on('error', () => {})
  }
  const server = createServer((near) => {
    state.connections += 1
    if (!state.open) return near.destroy()
    const far = connect(target(), '127.0.0.1')
    near.setNoDelay(true)
    far.setNoDelay(true)
    for (const socket of [near, far]) sockets.add(socket)
    pipe(near, far)
    pipe(far, near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return state.connections
    },
    get delay() {
      return state.delay
    },
    set delay(value) {
      state.delay = value
    },
    get open() {
      return state.open
    },
    set open(value) {
      state.open = value
    },
    cut,
    silence() {
      silent = true
    },
    async [Symbol.asyncDispose]() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
