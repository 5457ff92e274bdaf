import { library } from '../../tsup.base.ts'

export default library(['src/index.ts', 'src/memory.ts', 'src/system-clock.ts', 'src/conformance.ts'])
