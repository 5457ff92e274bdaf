import { readFileSync } from 'node:fs'
import { createIdentity, type Identity, identityFrom } from '@skrei/protocol'
import { cliError, systemCode } from './cli-errors.ts'
import { type Home, writeOnce } from './home.ts'

/** The node's identity: the 32-byte seed of its key in hexadecimal, in a file of mode 600 that is made once, by whichever process comes first. */
export const openIdentity = (home: Home): Identity => {
  try {
    writeOnce(home.identity, () => `${Buffer.from(createIdentity().exportPrivateKey()).toString('hex')}\n`)
    const text = readFileSync(home.identity, 'utf8').trim()
    if (!/^[0-9a-f]{64}$/.test(text)) throw cliError('identity-invalid', `${home.identity} does not hold a key`)
    return identityFrom(Buffer.from(text, 'hex'))
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined || code === 'identity-invalid') throw error
    throw cliError('home-unusable', `cannot read ${home.identity}: ${code}`, { cause: error })
  }
}
