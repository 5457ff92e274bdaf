import { expect, test } from 'vitest'
import { type ConfigFile, resolveConfig } from '../src/config/config-schema.ts'
import { dockerPolicy, ownDockerPolicy } from '../src/docker-policy.ts'

const of = (given: ConfigFile) => dockerPolicy(resolveConfig(given), 'me')

test('a node that is told nothing gives containers no network and no root, and its label', () => {
  expect(of({})).toEqual({ node: 'me', allowRoot: false, images: { pull: true, privateRegistries: false }, network: { full: false, http: false } })
})

test('what is configured for containers is what their engine is given', () => {
  const docker = { images: ['docker.io/library/*'], pull: false, credentialsFile: '/etc/skrei/registries.json', fullNetwork: true, allowRoot: true }
  expect(of({ docker: { ...docker, domains: ['*.example.org'] } })).toEqual({
    node: 'me',
    allowRoot: true,
    images: { allow: ['docker.io/library/*'], pull: false, privateRegistries: false, credentialsFile: '/etc/skrei/registries.json' },
    network: { full: true, http: { domains: ['*.example.org'], privateAddresses: false } },
  })
})

test('one domain that stands for all bounds nothing, and private addresses are a setting of their own', () => {
  expect(of({ docker: { domains: ['example.org', '*'] }, allow: { privateAddresses: true } }).network?.http).toEqual({ privateAddresses: true })
})

test('the node of one job reaches what its user names, and the rest of the network only where the user says so', () => {
  expect(ownDockerPolicy('me', { allowPrivateAddresses: false }).network).toEqual({ full: false, http: { privateAddresses: false } })
  expect(ownDockerPolicy('me', { allowPrivateAddresses: true }).network).toEqual({ full: true, http: { privateAddresses: true } })
})
