// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'

// The child and its thread are entries of their own: they are started, not imported.
export default library(['src/index.ts', 'src/child.ts', 'src/guest-thread.ts'])
