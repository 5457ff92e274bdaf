type Environment = Readonly<Record<string, string | undefined>>

/** What a user types to run this program, as far as the program that started it says so: `skrei`, or what stands before it in a checkout or where only a package manager finds it. */
export const calledAs = (environment: Environment): string => {
  const { npm_command: command, npm_lifecycle_event: event, npm_execpath: path = '', npm_config_user_agent: agent = '' } = environment
  const [, manager, version] = /^(pnpm|npm)\/(\S+)/.exec(agent) ?? []
  // The script of a checkout. A pnpm that npx fetched is not on the user's PATH.
  if (command === 'run-script' && event === 'skrei' && manager === 'pnpm')
    return path.includes('/_npx/') ? `npx -y pnpm@${version} --silent skrei` : 'pnpm --silent skrei'
  if (command === 'exec' && event === 'npx' && manager === 'npm') return 'npx skrei'
  return 'skrei'
}

const name = calledAs(process.env)

/** A command to type next. */
export const commandLine = (words: string): string => `${name} ${words}`

/** A text with the commands in it, such as `skrei node list`, as they are to be typed. */
export const asCalled = (text: string): string => text.replaceAll('`skrei ', `\`${name} `)
