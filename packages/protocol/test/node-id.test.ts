import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createIdentity, identityFrom, nodeIdOf, publicKeyOf } from '../src/index.ts'

const key = fc.uint8Array({ minLength: 32, maxLength: 32 })

test('a node id is the peer id that libp2p gives the same key', () => {
  fc.assert(
    fc.property(key, (seed) => {
      const { publicKey, nodeId } = identityFrom(seed)
      expect(nodeId).toBe(peerIdFromPublicKey(publicKeyFromRaw(publicKey)).toString())
      expect(peerIdFromString(nodeId).publicKey?.raw).toEqual(publicKey)
    }),
  )
})

test('a node id gives its key back, and any 32 bytes have one id of 52 characters', () => {
  fc.assert(
    fc.property(key, (bytes) => {
      const nodeId = nodeIdOf(bytes)
      expect(nodeId).toMatch(/^12D3KooW.{44}$/)
      expect(publicKeyOf(nodeId)).toEqual(bytes)
    }),
  )
  for (const byte of [0x00, 0xff]) expect(publicKeyOf(nodeIdOf(new Uint8Array(32).fill(byte)))).toEqual(new Uint8Array(32).fill(byte))
})

test('text that is read as a key is the one text for that key', () => {
  const { nodeId } = createIdentity()
  const character = fc.constantFrom(...'123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl \n\0é')
  fc.assert(
    fc.property(fc.nat(51), character, (at, other) => {
      const text = nodeId.slice(0, at) + other + nodeId.slice(at + 1)
      try {
        expect(nodeIdOf(publicKeyOf(text))).toBe(text)
      } catch (error) {
        expect(error).toMatchObject({ name: 'ProtocolError', code: 'invalid-node-id' })
      }
    }),
  )
})

test('a key of another length is refused', () => {
  for (const length of [0, 31, 33, 64]) {
    expect(() => nodeIdOf(new Uint8Array(length))).toThrow(expect.objectContaining({ code: 'invalid-key' }))
    expect(() => identityFrom(new Uint8Array(length))).toThrow(expect.objectContaining({ code: 'invalid-key' }))
  }
})
