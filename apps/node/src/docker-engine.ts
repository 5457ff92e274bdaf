/** Where a Docker engine of this machine listens: `DOCKER_HOST` where that is a socket. */
export const dockerSocket = (): string => /^unix:\/\/(\/.+)$/.exec(process.env['DOCKER_HOST'] ?? '')?.[1] ?? '/var/run/docker.sock'

/** Whether an engine answers there, within two seconds. */
export const dockerAnswers = async (): Promise<boolean> => {
  // Its default: in the bundle it is a module of CommonJS, whose dynamic import has no names.
  const { default: http } = await import('node:http')
  return new Promise((resolve) => {
    const asked = http.get({ socketPath: dockerSocket(), path: '/_ping', agent: false, timeout: 2000 }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
    asked.on('error', () => resolve(false))
  })
}
