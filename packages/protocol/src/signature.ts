import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign as signBytes, verify } from 'node:crypto'
import { ProtocolError } from './error.ts'
import { nodeIdOf, publicKeyOf } from './node-id.ts'

/** A node's key and what follows from it. The private key is reached only by a call, so that it does not end in a log by accident. */
export interface Identity {
  /** See {@link nodeIdOf}. */
  readonly nodeId: string
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** The ed25519 signature (RFC 8032, pure) of the bytes: 64 bytes, the same each time. */
  sign(bytes: Uint8Array): Uint8Array
  /** The 32-byte seed (RFC 8032 section 5.1.5) that {@link identityFrom} takes: what a node keeps in its key file. */
  exportPrivateKey(): Uint8Array
}

const keyLength = 32
const signatureLength = 64

// A PKCS#8 and an SPKI structure of ed25519 (RFC 8410) are these bytes followed by the raw key.
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex')

const rawPublicKey = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(spkiPrefix.length))
const rawPrivateKey = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }).subarray(pkcs8Prefix.length))

const identityOf = (privateKey: KeyObject): Identity => {
  const publicKey = rawPublicKey(createPublicKey(privateKey))
  return {
    nodeId: nodeIdOf(publicKey),
    publicKey,
    sign: (bytes) => new Uint8Array(signBytes(null, bytes, privateKey)),
    exportPrivateKey: () => rawPrivateKey(privateKey),
  }
}

/** A new identity, its key from the system's generator. */
export const createIdentity = (): Identity => identityOf(generateKeyPairSync('ed25519').privateKey)

/**
 * The identity of a stored key.
 *
 * @param privateKey the 32-byte seed, as `exportPrivateKey` gives it
 * @throws ProtocolError `invalid-key`
 */
export const identityFrom = (privateKey: Uint8Array): Identity => {
  if (privateKey.length !== keyLength) throw new ProtocolError('invalid-key', `an ed25519 private key has ${keyLength} bytes, this one ${privateKey.length}`)
  return identityOf(createPrivateKey({ key: Buffer.concat([pkcs8Prefix, privateKey]), format: 'der', type: 'pkcs8' }))
}

// Making a key object costs as much as half a check; nodes talk to the same peers again and again.
const keptKeys = 1024
const keys = new Map<string, KeyObject>()

const keyObjectOf = (nodeId: string): KeyObject => {
  const known = keys.get(nodeId)
  const key = known ?? createPublicKey({ key: Buffer.concat([spkiPrefix, publicKeyOf(nodeId)]), format: 'der', type: 'spki' })
  if (known === undefined && keys.size >= keptKeys)
    for (const oldest of keys.keys()) {
      keys.delete(oldest)
      break
    }
  keys.delete(nodeId)
  keys.set(nodeId, key)
  return key
}

/**
 * Whether a node made this signature over these bytes: the only check of signatures in the project, because implementations of ed25519
 * disagree at the edges (this one is OpenSSL's: no cofactor, S below the group order). Never throws: an id that is none, or a signature of another
 * length, is a `false`.
 */
export const checkSignature = (nodeId: string, bytes: Uint8Array, signature: Uint8Array): boolean => {
  if (signature.length !== signatureLength) return false
  try {
    return verify(null, bytes, keyObjectOf(nodeId), signature)
  } catch {
    return false
  }
}
