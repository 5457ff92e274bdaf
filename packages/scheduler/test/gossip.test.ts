import { encodeAnnouncement } from '@skrei/protocol'
import { expect, test } from 'vitest'
import { createSimulation } from '../src/simulation/index.ts'
import { announcement } from './announcement.ts'

test('whoever makes up nodes by the thousand does not keep those that are known from being heard', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, settings: { announcementTtl: 30_000 } })
  const [requester, node] = [world.node(0), world.node(1)]
  await world.clock.advance(5000)
  const liar = world.network.join('liar')
  await liar.start()
  let made = 0
  for (let second = 0; second < 60; second++) {
    for (let one = 0; one < 200; one++) {
      const said = announcement(`made${++made}`, { network: 'test', issuedAt: world.clock.now(), ttl: 1000 })
      void liar.publish(
        'skrei/announcements/1/test',
        encodeAnnouncement(said, () => new Uint8Array(64)),
      )
    }
    await world.clock.advance(1000)
  }
  expect(requester.scheduler.nodes().some((known) => known.node === node.id)).toBe(true)
  await world.stop()
})
