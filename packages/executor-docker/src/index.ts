export { type DockerExecutor, dockerExecutor } from './executor.ts'
export type { DeviceDriver, DockerOptions, HttpOptions, ImageOptions, NetworkOptions } from './options.ts'
