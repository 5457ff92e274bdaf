// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'

/** Commands stay separate chunks: each is loaded only when it is called. Nobody imports them, so there are no types. */
export default library(['src/main.ts'], { splitting: true, dts: false })
