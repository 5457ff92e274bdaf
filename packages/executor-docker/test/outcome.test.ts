import { expect, test } from 'vitest'
import { startFailure } from '../src/outcome.ts'

// What engines and runtimes say, from 20.10 with runc 1.1 to 28 with the NVIDIA Container Toolkit.
const ofDevices = [
  'error gathering device information while adding custom device "/dev/dri/renderD129": no such file or directory',
  'could not select device driver "nvidia" with capabilities: [[gpu]]',
  'could not select device driver "cdi" with capabilities: []',
  'failed to create task for container: CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=GPU-1: no such file or directory',
  'OCI runtime create failed: runc create failed: unable to start container process: error during container init: error running hook #0: error running hook: exit status 1, stdout: , stderr: nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory',
  'OCI runtime create failed: runc create failed: unable to start container process: error during container init: error running prestart hook #0: exit status 1, stderr: nvidia-container-cli: device error: GPU-1: unknown device: permission denied',
]

test.each(ofDevices)('a device that cannot be given is no fault of the program: %s', (message) => {
  expect(startFailure(message, 1)).toBeUndefined()
})

test('a program that cannot be started is, with and without devices; and without devices nothing is blamed on them', () => {
  const said =
    'OCI runtime create failed: runc create failed: unable to start container process: exec: "/CDI device": stat /CDI device: no such file or directory: unknown'
  expect(startFailure(said, 0)).toMatchObject({ code: 'module-invalid' })
  expect(startFailure(said.replaceAll('CDI device', 'program'), 2)).toMatchObject({ code: 'module-invalid' })
})
