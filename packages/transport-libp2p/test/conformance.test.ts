import { transportConformance } from '@skrei/transport/conformance'
import { conformanceNodes } from './nodes.ts'

const capabilities = { maxBytes: 4 * 1024 * 1024, topics: true, crash: true }

transportConformance({ name: 'libp2p over TCP', create: conformanceNodes(''), capabilities })
transportConformance({ name: 'libp2p over WebSockets', create: conformanceNodes('/ws'), capabilities })
