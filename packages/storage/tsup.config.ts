import { library } from '../../tsup.base.ts'

export default library(['src/index.ts', 'src/local.ts', 'src/inline.ts', 'src/conformance.ts'])
