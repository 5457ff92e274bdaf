import { transportConformance } from '../src/conformance.ts'
import { capabilities, memoryNodes } from './nodes.ts'

transportConformance({ name: 'memory, no latency', create: memoryNodes(), capabilities })
transportConformance({ name: 'memory, slow and jumbled', create: memoryNodes({ latency: 1, jitter: 2, reordering: 0.3 }), capabilities })
