const normal = (domain: string): string => domain.toLowerCase().replace(/\.$/, '')

/** Whether a host is one of the domains: itself, or below `*.domain`. */
export const isDomain = (host: string, domains: readonly string[]): boolean => {
  const name = normal(host)
  return domains.some((one) => {
    const domain = normal(one)
    return domain.startsWith('*.') ? name.length > domain.length - 1 && name.endsWith(domain.slice(1)) : name === domain
  })
}

/** Whether all that a domain of a job stands for is among the domains of the node. */
export const isCovered = (domain: string, domains: readonly string[]): boolean =>
  domain.startsWith('*.')
    ? domains.some(
        (one) =>
          normal(one) === normal(domain) ||
          isDomain(
            domain.slice(2),
            [one].filter((of) => of.startsWith('*.')),
          ),
      )
    : isDomain(domain, domains)
