import { withBench } from '@skrei/executor/conformance'
import { beforeAll, expect, test } from 'vitest'
// @boundaries-ignore what finds an engine, and makes an image for it, is the same for both drivers
import { haveImage, namespace, shell, withEngine } from '../../executor-docker/test/docker-engine.ts'
import { detectGpus, dockerGpuExecutor } from '../src/index.ts'

// What no stand-in can show. No machine of CI has a GPU, so nothing fails there where this is skipped.
const { gpus, problems } = await detectGpus()
const title = 'each real GPU is seen by the container that is given it, alone, and its counters are evidence'

if (gpus.length === 0) {
  test.skip(`${title} (skipped: ${['no GPU was found on this machine', ...problems.map(({ detail }) => detail)].join('; ')})`, () => undefined)
} else {
  withEngine('on a real GPU', () => {
    beforeAll(haveImage)
    test(title, { timeout: 600_000 }, async () => {
      await withBench(
        ({ home }) => dockerGpuExecutor({ directory: home, namespace: namespace() }),
        async ({ executor, request }) => {
          const { devices } = await executor.inventory()
          expect(devices.length).toBeGreaterThan(0)
          for (const { id, vendor } of devices) {
            const script = 'ls -d /dev/nvidia[0-9]* /dev/dri/renderD* 2>/dev/null; sleep 3'
            let seen = ''
            let counted = false
            for await (const event of executor.run({ ...request({ engine: shell(script) }), devices: [id] }, {})) {
              if (event.type === 'output' && event.stream === 'stdout') seen += new TextDecoder().decode(event.bytes)
              if (event.type === 'evidence') counted ||= Object.keys(event.counters).some((name) => name.startsWith('gpu0'))
              if (event.type === 'exit') expect(event.failure).toBeUndefined()
            }
            expect(seen.trimEnd().split('\n')).toHaveLength(1)
            // The driver does not measure a part of a device.
            if (!(vendor === 'nvidia' && id.startsWith('MIG-'))) expect(counted).toBe(true)
          }
        },
      )
    })
  })
}
