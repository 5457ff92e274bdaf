import { stateStoreConformance } from '../src/conformance.ts'
import { memoryStores, sqliteStores, temporaryDirectory } from './stores.ts'

stateStoreConformance({ name: 'memory', ...memoryStores })
stateStoreConformance({ name: 'sqlite', ...sqliteStores(temporaryDirectory()) })
