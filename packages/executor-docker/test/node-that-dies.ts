// A node of its own process, for crash.integration.test.ts: runs the executions that its argument says, and tells of their events, a line of JSON each.
import { dockerExecutor } from '../src/index.ts'
import { type CrashSetting, requestOf } from './crash-setting.ts'

const setting = JSON.parse(process.argv[2] ?? '') as CrashSetting
const executor = dockerExecutor({ directory: setting.directory, namespace: setting.namespace, network: { http: true } })

const follow = async (id: string): Promise<void> => {
  for await (const event of executor.run(await requestOf(setting, id), {})) {
    const told = event.type === 'output' ? { ...event, bytes: Buffer.from(event.bytes).toString('latin1') } : event
    process.stdout.write(`${JSON.stringify({ id, ...told })}\n`)
  }
}
await Promise.all(setting.ids.map(follow))
await executor[Symbol.asyncDispose]()
