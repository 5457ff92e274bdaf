import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
// @boundaries-ignore all packages are built in the one way that stands at the root
import { library } from '../../tsup.base.ts'

interface Metafile {
  readonly outputs: Record<string, { readonly inputs: Record<string, { readonly bytesInOutput: number }> }>
}

/** helia's node and what only it needs are taken into dist (src/helia-node.ts): their licences go with them. */
const writeLicences = async (): Promise<void> => {
  const { outputs } = JSON.parse(readFileSync('dist/metafile-esm.json', 'utf8')) as Metafile
  rmSync('dist/metafile-esm.json')
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0))
  const folders = new Set(inputs.flatMap(([path]) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0] ?? []))
  const packages = [...folders].sort().map((folder) => {
    const { name, version, license, homepage } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, string>
    const files = readdirSync(folder).filter((file) => /^licen[sc]e/i.test(file))
    const file = files.find((candidate) => /mit/i.test(candidate)) ?? files[0]
    const text =
      file === undefined ? 'The packages above carry no licence text; their package.json names the licence.' : readFileSync(join(folder, file), 'utf8').trim()
    return { title: `${name} ${version} (${license}) ${homepage ?? ''}`, text }
  })
  const sections = Map.groupBy(packages, ({ text }) => text)
    .entries()
    .map(([text, those]) => `${those.map(({ title }) => title).join('\n')}\n\n${text}\n`)
  writeFileSync('dist/third-party-licenses.txt', [...sections].join(`\n${'-'.repeat(80)}\n\n`))
}

export default library(['src/index.ts'], { metafile: true, onSuccess: writeLicences })
