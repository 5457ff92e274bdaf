// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'

export default library(['src/index.ts', 'src/executions.ts', 'src/directory-records.ts', 'src/noop.ts', 'src/conformance.ts'])
