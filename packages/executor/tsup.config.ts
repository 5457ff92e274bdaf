import { library } from '../../tsup.base.ts'

export default library(['src/index.ts', 'src/executions.ts', 'src/noop.ts', 'src/conformance.ts'])
