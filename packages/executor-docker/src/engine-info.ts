import type { AbortOptions } from '@skrei/executor'
import { dockerodeClient } from './dockerode-client.ts'
import type { EngineInfo } from './engine-client.ts'
import { defaultSocketPath } from './options.ts'

/** What the engine says of itself and of its machine. Rejects with an `EngineError`, whose cause has the system's `code` (`ENOENT`, `EACCES`, `ECONNREFUSED`) where it cannot be reached. */
export const engineInfo = async ({ socketPath = defaultSocketPath, ...options }: AbortOptions & { readonly socketPath?: string } = {}): Promise<EngineInfo> => {
  await using engine = dockerodeClient(socketPath)
  return await engine.info(options)
}
