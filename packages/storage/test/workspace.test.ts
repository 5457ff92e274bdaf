import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { workspaceConformance } from '../src/conformance.ts'
import { localWorkspace } from '../src/local.ts'

workspaceConformance({
  name: 'local',
  create: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'skrei-workspace-'))
    const make = () => localWorkspace({ directory: join(directory, 'executions') })
    return { workspace: make(), reopen: make, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) }
  },
})
