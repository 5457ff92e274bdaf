/** What a protocol error means to people: the source of its entry in docs/errors.md. */
export interface ProtocolErrorKind {
  readonly cause: string
  readonly remedy: string
}

/** Every way in which bytes from another node, or for one, are refused: the closed list. */
export const protocolErrors = {
  'malformed-message': {
    cause: 'The bytes are not the canonical form of a valid message: not DAG-CBOR, a field missing, unknown or out of its bounds.',
    remedy: 'Nothing on the node that reports it: the sender is faulty. On a sender, correct the field that the message names.',
  },
  'message-too-large': {
    cause: 'A message has more than 1 MiB, more than 65,536 items or more than 32 levels.',
    remedy: 'Send less in one message: an ask leaves out its list of files, which is then queried.',
  },
  'unsupported-version': {
    cause: 'A message has a protocol version that this node does not speak.',
    remedy: 'Run the same release of skrei on both nodes.',
  },
  'unknown-message': {
    cause: 'A message has a type that this node does not know.',
    remedy: 'Run the same release of skrei on both nodes.',
  },
  'unsupported-message': {
    cause: 'A message that this node knows, but has no part for: an ask to a node that runs nothing, a message of a verification that it does not do.',
    remedy: 'Ask another node.',
  },
  'wrong-network': {
    cause: 'A message belongs to another network.',
    remedy: 'Give both nodes the same network name, or keep them apart.',
  },
  'wrong-recipient': {
    cause: 'A message is addressed to another node.',
    remedy: 'Nothing: it was delivered wrongly or replayed, and changed nothing.',
  },
  'wrong-sender': {
    cause: 'A message names another sender than the node that its channel proves.',
    remedy: 'Nothing: it was forged or replayed, and changed nothing.',
  },
  'duplicate-identity': {
    cause: 'Two nodes run with one key at a time, or a node went on from a copy of its state.',
    remedy: 'Stop one of the two. A node whose state was copied needs a key of its own.',
  },
  'bad-signature': {
    cause: 'A message that must be signed has no signature, or one that its sender did not make over these bytes.',
    remedy: 'Nothing: it was forged or altered, and changed nothing.',
  },
  'invalid-node-id': {
    cause: 'A node id is not the canonical text of an ed25519 peer id.',
    remedy: 'Copy the whole id as the node prints it: 52 characters that begin with 12D3KooW.',
  },
  'invalid-key': {
    cause: 'A public or private ed25519 key does not have 32 bytes.',
    remedy: "Restore the node's key file from a backup, or remove it: the node then makes a new key, and has a new id.",
  },
} as const satisfies Readonly<Record<string, ProtocolErrorKind>>

export type ProtocolErrorCode = keyof typeof protocolErrors

/** Thrown for everything that this package refuses. Callers branch on `code`. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ProtocolErrorCode

  constructor(code: ProtocolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
