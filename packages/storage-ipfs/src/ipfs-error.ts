export type IpfsErrorCode =
  /** A block is not held here, and nothing that could fetch it was given. */
  | 'block-missing'
  /** A block is not held here, and no connected peer gave it. */
  | 'block-unreachable'
  /** A block's bytes are not what its CID says. */
  | 'block-corrupt'
  /** The text is no CID, or its hash function or codec is not one that is read here. */
  | 'cid-unsupported'
  /** The blocks do not make up a tree of files and directories. */
  | 'dag-invalid'
  /** The tree is larger than this storage was told to handle. */
  | 'limit-exceeded'
  /** Additions take as much as they may together, or the disk has too little left for them. */
  | 'storage-full'
  /** A directory that is to be published holds something that cannot be: a link, a device, a name that is not UTF-8, a file that shrank. */
  | 'directory-unsafe'
  /** A path or a content given to `compose` cannot stand in a tree. */
  | 'entry-invalid'
  /** The storage was used before `start` or after `stop`. */
  | 'not-started'

/** What this package throws where the fault is not the job's; callers branch on `code`. */
export class IpfsError extends Error {
  override readonly name = 'IpfsError'
  readonly code: IpfsErrorCode

  constructor(code: IpfsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
