import type { ConformanceCapabilities, ConformanceNodes } from '../src/conformance.ts'
import { type LinkFaults, memoryNetwork } from '../src/memory.ts'
import { systemClock } from '../src/system-clock.ts'

export const capabilities: ConformanceCapabilities = { maxBytes: 2 * 1024 * 1024, topics: true, crash: true }

export const memoryNodes =
  (faults: LinkFaults = {}) =>
  async (): Promise<ConformanceNodes> => {
    const network = memoryNetwork({ clock: systemClock({ unref: true }), seed: 1, timeout: 1000, maxBytes: 2 * 1024 * 1024, ...faults })
    const [a, b, idle] = [network.join('a'), network.join('b'), network.join('idle')]
    await a.start()
    await b.start()
    return {
      a,
      b,
      idle,
      unknown: 'nobody',
      crash: () => network.crash('b'),
      async [Symbol.asyncDispose]() {
        for (const transport of [a, b, idle]) await transport[Symbol.asyncDispose]()
      },
    }
  }
