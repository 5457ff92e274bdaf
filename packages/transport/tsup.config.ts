// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'

export default library(['src/index.ts', 'src/memory.ts', 'src/system-clock.ts', 'src/driver.ts', 'src/conformance.ts'])
