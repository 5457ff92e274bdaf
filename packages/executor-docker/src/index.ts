export type { EngineInfo } from './engine-client.ts'
export { engineInfo } from './engine-info.ts'
export { type DockerExecutor, dockerExecutor } from './executor.ts'
export type { DeviceDriver, DeviceGrant, DockerOptions, HttpOptions, ImageOptions, NetworkOptions } from './options.ts'
