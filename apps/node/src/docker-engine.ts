import { get } from 'node:http'

/** Where a Docker engine of this machine listens: `DOCKER_HOST` where that is a socket. */
export const dockerSocket = (): string => /^unix:\/\/(\/.+)$/.exec(process.env['DOCKER_HOST'] ?? '')?.[1] ?? '/var/run/docker.sock'

/** Whether an engine answers there, within two seconds. */
export const dockerAnswers = (): Promise<boolean> =>
  new Promise((resolve) => {
    const asked = get({ socketPath: dockerSocket(), path: '/_ping', agent: false, timeout: 2000 }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(false))
  })
