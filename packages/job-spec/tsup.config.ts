// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'

export default library(['src/index.ts', 'src/public-address.ts'])
