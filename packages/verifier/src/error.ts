/** What a verifier error means to people: the source of its entry in docs/errors.md. */
export interface VerifierErrorKind {
  readonly cause: string
  readonly remedy: string
}

/** Every reason for which a digest or a commitment cannot be made: the closed list. */
export const verifierErrors = {
  'tree-unsorted': {
    cause: 'The files of a result do not come in the order of the bytes of their paths, or one comes twice.',
    remedy: 'Report it: a workspace lists its files in this order.',
  },
  'tree-path-invalid': {
    cause: 'A path of a result is not relative and normal, or has more than 4096 bytes, or is not Unicode.',
    remedy: 'Have the program write its outputs under names of plain Unicode text.',
  },
  'tree-changed': {
    cause: 'A file of a result has another size than it was listed with: something wrote to it meanwhile.',
    remedy: 'Let nothing write to the outputs once the program has ended.',
  },
  'field-invalid': {
    cause: 'A field of a result or a commitment is out of its range: a digest that is not 64 lower-case hexadecimal digits, an exit code beyond 32 bits.',
    remedy: 'Report it: the message names the field.',
  },
} as const satisfies Readonly<Record<string, VerifierErrorKind>>

export type VerifierErrorCode = keyof typeof verifierErrors

/** Callers branch on `code`. */
export class VerifierError extends Error {
  override readonly name = 'VerifierError'
  readonly code: VerifierErrorCode

  constructor(code: VerifierErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
