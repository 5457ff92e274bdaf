// A node of its own process, for crash.test.ts: runs the execution that its arguments say and tells when the guest does.
import { taskFor } from '@skrei/executor/conformance'
import { wasmExecutor } from '../src/index.ts'
import { program } from './modules.ts'

const [name = '', directory = '', outputs = ''] = process.argv.slice(2)
const { engine, files = {} } = program(name)
const executor = wasmExecutor({ directory })
const request = {
  id: 'Execution/1',
  task: taskFor(engine),
  seed: new Uint8Array(32),
  mounts: [{ path: outputs, at: '/outputs', writable: true }],
  files,
  env: {},
  devices: [],
  from: { stdout: 0, stderr: 0 },
}
for await (const event of executor.run(request, {})) if (event.type === 'output') process.stdout.write(event.bytes)
