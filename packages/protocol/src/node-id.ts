import { base58btc } from 'multiformats/bases/base58'
import { ProtocolError } from './error.ts'

// Identity multihash (code 0, 36 bytes) of the protobuf PublicKey {Type: Ed25519 (1), Data: 32 bytes}:
// https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
const prefix = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
const keyLength = 32
const pattern = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/

/**
 * The id of the node that holds an ed25519 key: the libp2p peer id in its base58btc text, `12D3KooW…`, 52 characters. The id holds the
 * whole key, so whoever knows an id can check a signature.
 *
 * @param publicKey 32 bytes
 * @throws ProtocolError `invalid-key`
 */
export const nodeIdOf = (publicKey: Uint8Array): string => {
  if (publicKey.length !== keyLength) throw new ProtocolError('invalid-key', `an ed25519 public key has ${keyLength} bytes, this one ${publicKey.length}`)
  const bytes = new Uint8Array(prefix.length + keyLength)
  bytes.set(prefix)
  bytes.set(publicKey, prefix.length)
  return base58btc.baseEncode(bytes)
}

/**
 * The key that a node id holds: 32 bytes. Strict: other text for the same key (a CID, a multibase prefix, blanks) and ids of other kinds
 * of key are refused, so that two ids are of one node exactly when they are the same text.
 *
 * @throws ProtocolError `invalid-node-id`
 */
export const publicKeyOf = (nodeId: string): Uint8Array => {
  if (pattern.test(nodeId)) {
    const bytes = base58btc.baseDecode(nodeId)
    const key = bytes.slice(prefix.length)
    // The pattern bounds the work; this comparison decides: it also catches what a base58 reader lets pass.
    if (key.length === keyLength && nodeIdOf(key) === nodeId) return key
  }
  throw new ProtocolError('invalid-node-id', `${JSON.stringify(nodeId.slice(0, 80))} is not a node id: expected 52 characters that begin with 12D3KooW`)
}
