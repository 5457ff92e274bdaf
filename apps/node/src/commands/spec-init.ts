import { writeFileSync } from 'node:fs'
import { commandLine } from '../called-as.ts'
import { cliError, systemCode } from '../cli-errors.ts'

/** `skrei spec init`: writes the example, which runs as it is. */
export const specInit = (file: string): 0 => {
  try {
    writeFileSync(file, exampleJob, { flag: 'wx' })
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined) throw error
    if (code === 'EEXIST') throw cliError('file-exists', `${file} exists already`, { cause: error })
    throw cliError('output-unusable', `cannot write ${file}: ${code}`, { cause: error })
  }
  process.stdout.write(`wrote ${file}\nnext: ${commandLine(`run ${file}`)}\n`)
  return 0
}

const exampleJob = `# A job of skrei. It runs as it is: skrei run FILE
# Everything that may stand here: skrei spec schema
apiVersion: skrei/v1
name: example

# What runs. noop computes nothing: it waits, writes the files that it is told to, and ends. For a program of your own, compiled for WASI preview 1:
#   engine:
#     type: wasm
#     module: { type: local, path: program.wasm }     # or { type: https, url: "https://…", sha256: … }, { type: ipfs, cid: … }
#     args: ["/inputs", "/outputs"]
engine:
  type: noop
  duration: 500ms
  stdout: "hello from skrei\\n"
  files:
    /outputs/greeting.txt: "hello\\n"

# What it reads: each source appears as files below its path.
# inputs:
#   - source: { type: https, urls: ["https://example.com/a.csv", "https://example.com/b.csv"] }
#     path: /inputs
#   - source: { type: local, path: data }             # relative to this file
#     path: /reference

# What it keeps: the files below each path, published under its name.
outputs:
  - { name: results, path: /outputs }

# Where the result goes: ipfs (the default), local or none.
publisher: { type: ipfs }

# What one execution may use. Quantities as in Kubernetes.
resources: { cpu: 100m, memory: 64Mi, disk: 10Mi }

# One shard per file (or per batchSize files) of the input, or a fixed number of shards.
# sharding: { glob: "*.csv", batchSize: 1 }
sharding: { count: 3 }

timeouts: { execution: 1m, total: 10m }

# Further: env, labels, constraints, retry, partial, limits, verification, network.
`
