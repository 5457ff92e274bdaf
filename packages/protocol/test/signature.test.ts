import { expect, test } from 'vitest'
import { checkSignature, createIdentity, identityFrom, nodeIdOf } from '../src/index.ts'

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

test('signatures are those of RFC 8032, section 7.1, test 3', () => {
  const identity = identityFrom(hex('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7'))
  expect(identity.publicKey).toEqual(hex('fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025'))
  const signature = identity.sign(hex('af82'))
  expect(signature).toEqual(
    hex('6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a'),
  )
  expect(checkSignature(identity.nodeId, hex('af82'), signature)).toBe(true)
})

test('a stored key gives the same identity again, and shows nothing of itself unasked', () => {
  const identity = createIdentity()
  const again = identityFrom(identity.exportPrivateKey())
  expect(again.nodeId).toBe(identity.nodeId)
  expect(again.sign(hex('01'))).toEqual(identity.sign(hex('01')))
  expect(JSON.stringify(identity)).not.toContain(Buffer.from(identity.exportPrivateKey()).toString('hex'))
  expect(Object.values(identity)).not.toContainEqual(identity.exportPrivateKey())
})

test('two new identities differ', () => {
  expect(createIdentity().nodeId).not.toBe(createIdentity().nodeId)
})

test('a signature is refused over other bytes, for another node, altered, or of another length, without a throw', () => {
  const { nodeId, sign } = createIdentity()
  const bytes = hex('0102')
  const signature = sign(bytes)
  expect(checkSignature(nodeId, hex('0103'), signature)).toBe(false)
  expect(checkSignature(createIdentity().nodeId, bytes, signature)).toBe(false)
  for (let bit = 0; bit < 512; bit += 1)
    expect(
      checkSignature(
        nodeId,
        bytes,
        signature.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)),
      ),
    ).toBe(false)
  for (const length of [0, 63, 65]) expect(checkSignature(nodeId, bytes, new Uint8Array(length))).toBe(false)
  for (const id of ['', 'node-1', nodeId.slice(1)]) expect(checkSignature(id, bytes, signature)).toBe(false)
  expect(checkSignature(nodeIdOf(new Uint8Array(32).fill(0xff)), bytes, signature)).toBe(false)
})

test('a signature whose S is not reduced is refused: no second signature can be made from the first', () => {
  const { nodeId, sign } = createIdentity()
  const bytes = hex('00')
  const signature = sign(bytes)
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const s = BigInt(`0x${Buffer.from(signature.slice(32)).reverse().toString('hex')}`) + order
  const malleable = new Uint8Array([...signature.slice(0, 32), ...Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()])
  expect(checkSignature(nodeId, bytes, malleable)).toBe(false)
})

test('checks stay right when more nodes sign than keys are kept', () => {
  const bytes = hex('07')
  const identities = Array.from({ length: 1100 }, (_, index) => {
    const seed = new Uint8Array(32)
    new DataView(seed.buffer).setUint32(0, index)
    return identityFrom(seed)
  })
  const signatures = identities.map(({ sign }) => sign(bytes))
  const all = () => identities.every(({ nodeId }, index) => checkSignature(nodeId, bytes, signatures[index] ?? bytes))
  expect(all()).toBe(true)
  expect(all()).toBe(true)
})
