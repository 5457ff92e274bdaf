// Numbers: https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md#errno
const numbers = {
  acces: 2,
  badf: 8,
  busy: 10,
  exist: 20,
  fault: 21,
  fbig: 22,
  ilseq: 25,
  inval: 28,
  isdir: 31,
  mfile: 33,
  nametoolong: 37,
  noent: 44,
  nosys: 52,
  notdir: 54,
  notempty: 55,
  notsock: 57,
  notsup: 58,
  overflow: 61,
  perm: 63,
  rofs: 69,
  spipe: 70,
  xdev: 75,
  notcapable: 76,
} as const

export type ErrnoName = keyof typeof numbers

/** What a call of the guest answers other than success. Not an `Error`: it is thrown often, and its stack would be of no use. */
export interface Errno {
  readonly errno: number
}

const answers = Object.fromEntries(Object.entries(numbers).map(([name, errno]) => [name, { errno }])) as Readonly<Record<ErrnoName, Errno>>

/** The one object for an errno, to be thrown. */
export const errno = (name: ErrnoName): Errno => answers[name]

const thrown = new Set<unknown>(Object.values(answers))
export const isErrno = (value: unknown): value is Errno => thrown.has(value)

// A failing call of the host that the guest may know of. Whatever else the host answers is not the guest's business.
const ofHost: Readonly<Record<string, ErrnoName>> = {
  EACCES: 'acces',
  EPERM: 'perm',
  EEXIST: 'exist',
  ENOENT: 'noent',
  ENOTDIR: 'notdir',
  EISDIR: 'isdir',
  ENOTEMPTY: 'notempty',
  ENAMETOOLONG: 'nametoolong',
  EXDEV: 'xdev',
  EFBIG: 'fbig',
  EINVAL: 'inval',
  ELOOP: 'notcapable',
  EMFILE: 'mfile',
  EBUSY: 'busy',
  EROFS: 'rofs',
  ENXIO: 'notcapable',
}

export const errnoOfHost = (error: unknown): Errno | undefined => {
  const name = ofHost[hostCode(error) ?? '']
  return name === undefined ? undefined : errno(name)
}

/** `ENOENT` and the like, of an error of the host's file system. */
export const hostCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && 'syscall' in error && typeof error.code === 'string' ? error.code : undefined
