import type { DockerGpuOptions } from '@skrei/executor-docker-gpu'
import type { NodeConfig } from './config/config-schema.ts'

/** What containers may be and have, and what they are labelled with. */
export type DockerPolicy = Pick<DockerGpuOptions, 'allowRoot' | 'images' | 'network' | 'node'>

/** Stands for every domain. */
const anyDomain = '*'

/** That of a node whose requesters are strangers: nothing but what its operator allows. */
export const dockerPolicy = ({ docker, allow }: Pick<NodeConfig, 'allow' | 'docker'>, node: string): DockerPolicy => {
  const { images, pull, credentialsFile, domains, fullNetwork, allowRoot } = docker
  return {
    node,
    allowRoot,
    images: {
      pull,
      privateRegistries: allow.privateAddresses,
      ...(images !== undefined && { allow: images }),
      ...(credentialsFile !== undefined && { credentialsFile }),
    },
    network: {
      full: fullNetwork,
      http: domains.length > 0 && { privateAddresses: allow.privateAddresses, ...(!domains.includes(anyDomain) && { domains }) },
    },
  }
}

/** That of the node that `skrei run` starts for a job of its own user: it reaches the hosts that the job names, and private ones, or everything, where the user says so too. */
export const ownDockerPolicy = (node: string, { allowPrivateAddresses }: { readonly allowPrivateAddresses: boolean }): DockerPolicy => ({
  node,
  images: { privateRegistries: allowPrivateAddresses },
  network: { full: allowPrivateAddresses, http: { privateAddresses: allowPrivateAddresses } },
})
