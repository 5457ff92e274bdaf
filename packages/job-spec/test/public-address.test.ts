import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { expect, test } from 'vitest'
import { isPublicAddress } from '../src/public-address.ts'

const isUnicast = (address: string) => ipaddr.parse(address).range() === 'unicast'

test('no address is taken for public that the oracle takes for special', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      if (isPublicAddress(address)) expect(`${address}: ${isUnicast(address)}`).toBe(`${address}: true`)
    }),
    { numRuns: 5000 },
  )
})

test('every IPv4 address that the oracle takes for unicast is public', () => {
  const special = ['192.31.196.', '192.52.193.', '192.88.99.', '192.175.48.']
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      if (isUnicast(address) && !special.some((prefix) => address.startsWith(prefix)))
        expect(`${address}: ${isPublicAddress(address)}`).toBe(`${address}: true`)
    }),
    { numRuns: 5000 },
  )
})

test('public addresses are public, and what is no address is not', () => {
  for (const address of [
    '8.8.8.8',
    '1.1.1.1',
    '172.15.255.255',
    '172.32.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '2606:4700:4700::1111',
    '2a00:1450:4001:81b::200e',
    '2001:200::1',
    '2003::1',
    '2001:4860:4860::8888',
  ])
    expect(`${address}: ${isPublicAddress(address)}`).toBe(`${address}: true`)
  for (const address of ['', 'localhost', '127.1', '2130706433', '8.8.8.8.8', '2606:4700:4700::1111%eth0', '[2606:4700:4700::1111]', ' 8.8.8.8'])
    expect(`${address}: ${isPublicAddress(address)}`).toBe(`${address}: false`)
})
