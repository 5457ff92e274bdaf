import { cliErrors } from '../apps/node/src/cli-errors.ts'
import { apiErrors, clientErrors } from '../packages/api/src/api-error.ts'
import { failures, refusals } from '../packages/job-spec/src/failure.ts'
import { problems } from '../packages/job-spec/src/problem.ts'
import { protocolErrors } from '../packages/protocol/src/error.ts'
import { optionErrors } from '../packages/scheduler/src/option-error.ts'
import { schedulerErrors } from '../packages/scheduler/src/scheduler-error.ts'
import { startErrors } from '../packages/scheduler/src/start-error.ts'
import { submitErrors } from '../packages/scheduler/src/submit-error.ts'
import { verifierErrors } from '../packages/verifier/src/error.ts'
import { code, paragraphs, table } from './markdown.ts'

const charged: Readonly<Record<string, string>> = { job: 'the job', input: 'its input', node: 'the node', network: 'the network', verdict: 'verification' }

const causes = (kinds: Readonly<Record<string, { readonly cause: string; readonly remedy: string }>>): string =>
  table(
    ['code', 'cause', 'remedy'],
    Object.entries(kinds).map(([name, { cause, remedy }]) => [code(name), cause, remedy]),
  )

/** One section of docs/errors.md: a closed list of codes. */
interface Section {
  readonly title: string
  readonly about: string
  readonly table: string
}

const sections: readonly Section[] = [
  {
    title: 'Failures',
    about:
      "Why an execution, a shard or a job failed: `failures` of `@skrei/job-spec`. “Tried again” is the default; a job's `retry.on` lists codes of its own. What is specific to one case stands in the failure's `detail`.",
    table: table(
      ['code', 'charged to', 'tried again', 'cause', 'remedy'],
      Object.entries(failures).map(([name, { by, retry, cause, remedy }]) => [code(name), charged[by] ?? by, retry ? 'yes' : 'no', cause, remedy]),
    ),
  },
  {
    title: 'Refusals',
    about:
      'Why a node does not bid for a task: `refusals` of `@skrei/job-spec`. After one that is for good, the requester does not ask that node for that task again.',
    table: table(
      ['code', 'for good', 'cause', 'remedy'],
      Object.entries(refusals).map(([name, { permanent, cause, remedy }]) => [code(name), permanent ? 'yes' : 'no', cause, remedy]),
    ),
  },
  {
    title: 'Problems of a job file',
    about: 'What is wrong with a job file, with the line and column it stands at: `problems` of `@skrei/job-spec`. The command line ends with 2.',
    table: causes(problems),
  },
  {
    title: 'Command line',
    about: 'What the command line itself finds wrong: `cliErrors` of `@skrei/node`. A job that failed has a code of the list above instead.',
    table: table(
      ['code', 'exit code', 'cause', 'remedy'],
      Object.entries(cliErrors).map(([name, { exit, cause, remedy }]) => [code(name), String(exit), cause, remedy]),
    ),
  },
  {
    title: 'Submission',
    about:
      'Why a node does not accept a job: codes of `SubmitError` of `@skrei/scheduler`. The command line ends with 3 for `not-enough-nodes`, with 2 for `not-built`.',
    table: causes(submitErrors),
  },
  {
    title: 'Start',
    about: 'Why a node does not start: codes of `StartError` of `@skrei/scheduler`.',
    table: causes(startErrors),
  },
  {
    title: 'Options of a scheduler',
    about: 'Why `createScheduler` makes none: codes of `OptionError` of `@skrei/scheduler`, whose `path` names the field.',
    table: causes(optionErrors),
  },
  {
    title: 'Calls of a scheduler',
    about: 'Why `start` or `finished` rejects: codes of `SchedulerError` of `@skrei/scheduler`.',
    table: causes(schedulerErrors),
  },
  {
    title: 'API',
    about:
      'Why a node\'s API refuses a request: `apiErrors` of `@skrei/api`, in the body `{ "error": { code, message, remedy?, file?, line?, column?, path?, problems? } }`. What is wrong with a job file has one of its own codes, with status 422.',
    table: table(
      ['code', 'HTTP status', 'cause', 'remedy'],
      Object.entries(apiErrors).map(([name, { status, cause, remedy }]) => [code(name), String(status), cause, remedy]),
    ),
  },
  {
    title: 'Client of the API',
    about: 'What the client of `@skrei/api` finds by itself: further codes of its `ApiError`, whose `status` is then 0.',
    table: causes(clientErrors),
  },
  {
    title: 'Messages between nodes',
    about: 'Why a message is not sent or not accepted: codes of `ProtocolError` of `@skrei/protocol`.',
    table: causes(protocolErrors),
  },
  {
    title: 'Verification',
    about: 'Why a result or a transcript cannot be judged: codes of `VerifierError` of `@skrei/verifier`.',
    table: causes(verifierErrors),
  },
]

export const errorsPage = (): string =>
  paragraphs([
    '# Errors',
    '<!-- Generated from the code tables by `pnpm generate`: change those, not this page. -->',
    'Branch on codes: they stay. Messages and details are for people and may change.',
    ...sections.flatMap((section) => [`## ${section.title}`, section.about, section.table]),
  ])
