// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'
// @boundaries-ignore what is bundled is bundled in the one way that stands at the root
import { lazyHttp, withoutSanitizeFilename, withoutSshAndGrpc, writeLicences } from '../../tsup.bundle.ts'

/**
 * Everything that the program needs, taken into its chunks: Node finds and reads some 900 files otherwise, which costs half a second of every start. Commands stay separate chunks: each is
 * loaded only when it is called. The processes in which guests run, and the one that starts containers, are files of their own, beside the chunk that starts them. Nobody imports any of it, so there are no types.
 */
export default library([], {
  entry: {
    main: 'src/main.ts',
    child: '../../packages/executor-wasm/src/child.ts',
    'guest-thread': '../../packages/executor-wasm/src/guest-thread.ts',
    launcher: '../../packages/executor-docker/src/launcher.ts',
  },
  splitting: true,
  dts: false,
  sourcemap: false,
  metafile: true,
  noExternal: [/.*/],
  // Modules of CommonJS ask for Node's own by `require`.
  banner: { js: "import { createRequire as bundledRequire } from 'node:module'; const require = bundledRequire(import.meta.url);" },
  esbuildOptions: (options) => {
    options.conditions = ['@skrei/source', 'module', 'node', 'import']

    options.legalComments = 'none'
  },
  esbuildPlugins: [withoutSanitizeFilename, withoutSshAndGrpc, lazyHttp],
  onSuccess: writeLicences,
})
