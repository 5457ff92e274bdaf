// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'

// The launcher is an entry of its own: it is started, not imported.
export default library(['src/index.ts', 'src/launcher.ts'])
