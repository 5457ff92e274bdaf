import { ipfsStorage } from '@skrei/storage-ipfs'
import { cliError, type ExitCode } from '../cli-errors.ts'
import { openHome } from '../home.ts'
import { homePath } from '../home-path.ts'
import { interrupts } from '../interrupts.ts'
import { bytes } from '../printable.ts'
import { takeResultDirectory } from '../result-directory.ts'
import { fail } from './fail.ts'

/** `skrei get`: a published result out of the blockstore in SKREI_HOME, into a new or empty directory. */
export const get = async (cid: string, directory: string): Promise<ExitCode> => {
  using interrupt = interrupts()
  try {
    const home = openHome(homePath())
    const into = takeResultDirectory(directory)
    try {
      await using storage = ipfsStorage({ directory: home.blocks })
      await storage.start()
      let size = 0
      for await (size of storage.publisher.fetch({ type: 'ipfs', cid }, into.path, { signal: interrupt.first }));
      process.stdout.write(`${into.path}  ${bytes(size)}\n`)
      return 0
    } catch (error) {
      into.undo()
      throw error
    }
  } catch (error) {
    return fail(interrupt.first.aborted ? cliError('cancelled', 'interrupted', { cause: error }) : explained(error, cid), false)
  }
}

const explained = (error: unknown, cid: string): unknown => {
  if (!(error instanceof Error) || error.name !== 'IpfsError' || !('code' in error)) return error
  if (error.code === 'cid-unsupported') return cliError('cid-invalid', `${JSON.stringify(cid.slice(0, 100))} is not a CID of a result`, { cause: error })
  if (error.code === 'block-missing') return cliError('result-not-found', error.message, { cause: error })
  return cliError('result-damaged', error.message, { cause: error })
}
