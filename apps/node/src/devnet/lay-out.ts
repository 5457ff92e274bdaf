import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { Capacity } from '@skrei/job-spec'
import { machineCapacity } from '../capacity.ts'
import { openHome } from '../home.ts'
import { openIdentity } from '../identity.ts'

/** One node of a devnet, before it starts. */
export interface DevnetNode {
  readonly name: string
  readonly home: string
  readonly nodeId: string
}

export interface DevnetLayout {
  readonly root: string
  readonly nodes: number
  /** Of each node; what is absent is an equal share of the machine's. */
  readonly capacity: Partial<Capacity>
  readonly ipfs: boolean
}

/** With so many nodes everybody is told of everybody. */
const fullMesh = 32
/** Above that, how many everybody is told of: the first. */
const known = 8

/**
 * Homes for the nodes of a network, each with a key and a `config.yaml`, so that `skrei node start` on one of them starts that node again. Ports are free ones, chosen by the system now: another
 * program may take one before its node does.
 */
export const layOut = async ({ root, nodes, capacity, ipfs }: DevnetLayout): Promise<readonly DevnetNode[]> => {
  const made = Array.from({ length: nodes }, (_, index) => {
    const name = `node-${index}`
    const home = openHome(join(root, name))
    return { name, home: home.path, nodeId: openIdentity(home).nodeId }
  })
  const ports = await freePorts(nodes)
  const addresses = made.map(({ nodeId }, index) => `/ip4/127.0.0.1/tcp/${ports[index]}/p2p/${nodeId}`)
  const whole = await machineCapacity(root)
  const share = (of: keyof Capacity): number => capacity[of] ?? Math.max(1, Math.floor(whole[of] / nodes))
  const told = nodes <= fullMesh ? addresses : addresses.slice(0, known)
  for (const [index, { name, home }] of made.entries()) {
    const config = {
      network: 'devnet',
      listen: [`/ip4/127.0.0.1/tcp/${ports[index]}`],
      peers: told.filter((address) => address !== addresses[index]),
      api: { port: 0 },
      ipfs,
      capacity: { cpu: `${share('cpu')}m`, memory: share('memory'), disk: share('disk') },
      labels: { name },
      allow: { privateAddresses: true },
      log: { format: 'json' },
      // On one machine the others are near: a node that came, or died, is noticed within seconds.
      settings: { lease: '6s', heartbeat: '1s', announcementTtl: '6s' },
    }
    writeFileSync(join(home, 'config.yaml'), `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
  }
  return made
}

/** So many different ports of loopback that nobody listens on. */
const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers: Server[] = []
  try {
    for (let index = 0; index < count; index += 1) {
      const server = createServer()
      servers.push(server)
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
    }
    return servers.map((server) => {
      const address = server.address()
      if (address === null || typeof address === 'string') throw new Error('a server on loopback has no port')
      return address.port
    })
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}
