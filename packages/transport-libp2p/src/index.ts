export type { Libp2pTransportLimits } from './limits.ts'
export type { FaultPlace } from './link-core.ts'
export type { Libp2pTransportOptions } from './options.ts'
export { type Libp2pTransport, libp2pTransport } from './transport.ts'
