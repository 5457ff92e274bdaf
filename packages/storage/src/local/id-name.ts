import { StorageError } from '../storage-error.ts'

const plain = /[a-z0-9_-]/
const allPlain = /^[a-z0-9_-]{1,200}$/
const maxLength = 200

/**
 * A directory name for an id: one name for one id, also where the file system folds case, and never a dot file, which leaves names
 * that begin with a dot to the drivers. What is not a lower-case letter, a digit, `_` or `-` is written as `%` and two hexadecimal digits.
 */
export const nameOfId = (id: string): string => {
  if (allPlain.test(id)) return id
  if (id === '' || id.length > maxLength || !id.isWellFormed())
    throw new StorageError('id-invalid', `an id has 1 to ${maxLength} characters of well-formed text`)
  let name = ''
  for (const byte of Buffer.from(id)) {
    const character = String.fromCharCode(byte)
    name += plain.test(character) ? character : `%${byte.toString(16).padStart(2, '0')}`
  }
  if (name.length > maxLength) throw new StorageError('id-invalid', `an id takes at most ${maxLength} bytes as a directory name: ${name.slice(0, 40)}…`)
  return name
}

/** The id that a directory name was made from; undefined for names that {@link nameOfId} does not make. */
export const idOfName = (name: string): string | undefined => {
  if (!/^(?:[a-z0-9_-]|%[0-9a-f]{2})+$/.test(name)) return undefined
  try {
    const id = decodeURIComponent(name)
    return nameOfId(id) === name ? id : undefined
  } catch {
    return undefined
  }
}
