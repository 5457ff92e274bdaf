import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const loader = new URL('./mutant-loader.ts', import.meta.url)
const program = new URL('./mutant-run.ts', import.meta.url)

/** Plays a schedule in a process of its own, with a mutant, or with none where no mutant has the name. Returns what was found broken, in words. */
export const brokenIn = async (schedule: string, mutant: string, options: { readonly signal?: AbortSignal } = {}): Promise<string | null> => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@skrei/source', '--import', loader.href, fileURLToPath(program), schedule], {
    ...options,
    env: { ...process.env, SKREI_MUTANT: mutant },
  })
  return (JSON.parse(stdout) as { readonly broken: string | null }).broken
}
