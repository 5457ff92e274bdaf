// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'
// @boundaries-ignore what is bundled is bundled in the one way that stands at the root
import { withoutSanitizeFilename, writeLicences } from '../../tsup.bundle.ts'

// helia's node and what only it needs are taken into dist (src/helia-node.ts).
export default library(['src/index.ts'], { metafile: true, esbuildPlugins: [withoutSanitizeFilename], onSuccess: writeLicences })
