/** Why a scheduler cannot be made, or used, as it was: code -> who must do what. */
export const optionErrors = {
  'option-unknown': { cause: '`createScheduler` has no option or setting of this name.', remedy: 'Correct the spelling of the field that the message names.' },
  'option-missing': { cause: 'An option that must be there is not.', remedy: 'Give the field that the message names.' },
  'option-invalid': {
    cause: 'An option or setting is not of the kind, or in the range, that it must be.',
    remedy: 'Correct the field that the message names.',
  },
} as const

export type OptionErrorCode = keyof typeof optionErrors

/** Thrown by `createScheduler`, and by `submit` for a job id that is none; `path` names the field, such as `settings.lease`. */
export class OptionError extends Error {
  override readonly name = 'OptionError'
  readonly code: OptionErrorCode
  readonly path: string

  constructor(code: OptionErrorCode, path: string, message: string) {
    super(message)
    this.code = code
    this.path = path
  }
}
