import { BlockList, isIP } from 'node:net'

// IANA's special-purpose registries (RFC 6890 and its successors, read November 2026) and multicast: everything that is not one host of the public Internet.
const special4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local; metadata services of clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
]
// Of IPv6 only 2000::/3 is given out; what is special within it:
const special6 = [
  '2001::/23', // protocol assignments, Teredo (which embeds IPv4) and ORCHID among them
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which embeds IPv4
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
]

const blockList = (subnets: readonly string[], family: 'ipv4' | 'ipv6') => {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network = '', prefix = ''] = subnet.split('/')
    list.addSubnet(network, Number(prefix), family)
  }
  return list
}

const refused4 = blockList(special4, 'ipv4')
const given6 = blockList(['2000::/3'], 'ipv6')
const refused6 = blockList(special6, 'ipv6')

/**
 * Whether an IP address, as text, is one of a host on the public Internet. Not so: private, loopback, link-local, multicast, reserved and
 * documentation addresses, and every IPv6 address that embeds an IPv4 one (`::ffff:0:0/96`, `::/96`, NAT64, 6to4, Teredo), whatever it embeds.
 */
export const isPublicAddress = (address: string): boolean => {
  // A zone (`%eth0`) belongs to link-local addresses only.
  const family = address.includes('%') ? 0 : isIP(address)
  if (family === 4) return !refused4.check(address, 'ipv4')
  return family === 6 && given6.check(address, 'ipv6') && !refused6.check(address, 'ipv6')
}
