/** A scheduler that is broken on purpose: in a file of `src`, `find` (there exactly once) becomes `replace`; the schedule then meets a broken law. */
export interface Mutant {
  readonly name: string
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[]
  readonly schedule: 'seeds' | 'away while publishing' | 'said again' | 'slow start' | 'requester away' | 'two outcomes' | 'another epoch'
  /** The numbers of the laws of PROTOCOL.md of which one has to be found broken: that a job does not end is none. */
  readonly breaks: readonly number[]
}

/** Those of PROTOCOL.md that are not about verification. Production code knows nothing of them: a loader rewrites the source in a process of its own. */
export const mutants: readonly Mutant[] = [
  {
    name: 'reservation leak',
    edits: [{ file: 'kernel/turn.ts', find: 'if (kind.holds === undefined) return', replace: 'if (kind.holds === undefined || !open) return' }],
    schedule: 'seeds',
    breaks: [1],
  },
  {
    name: 'double award',
    edits: [
      {
        file: 'machines/shard.ts',
        find: "return [...releaseAll(context, best.execution), { do: 'tell', kind: 'execution', id: best.execution, event: { type: 'award', context: execution } }]",
        replace: `return context.asked.filter(({ answer }) => answer === 'bid').map((one) => ({
          do: 'tell', kind: 'execution', id: one.execution,
          event: { type: 'award', context: { ...execution, id: one.execution, node: one.node, askId: one.askId } },
        }))`,
      },
    ],
    schedule: 'seeds',
    breaks: [4],
  },
  {
    name: 'dropped outbox entry',
    edits: [{ file: 'kernel/outbox.ts', find: '    lane.entries.push(entry)\n', replace: '    if (!lane.busy) lane.entries.push(entry)\n' }],
    schedule: 'seeds',
    breaks: [9],
  },
  {
    name: 'stop overtaken by run',
    edits: [{ file: 'kernel/turn.ts', find: 'type: output.type, lane,', replace: 'type: output.type, lane: output.type + lane,' }],
    schedule: 'slow start',
    breaks: [2, 3],
  },
  {
    name: 'slots not persisted',
    edits: [
      {
        file: 'scheduler.ts',
        find: '    keepSelf()\n    startedAt = ',
        replace: `    store.transact((transaction) => {
      for (const kind of ['shard', 'execution', 'compute'])
        for (const row of transaction.list(kind, { limit: 1000 })) transaction.put({ ...row, data: { ...row.data as object, slots: { heard: {}, said: {} } } })
    })
    keepSelf()
    startedAt = `,
      },
    ],
    schedule: 'said again',
    breaks: [10],
  },
  {
    name: 'peer deadlines before reconciliation',
    edits: [
      {
        file: 'requester/lease-answers.ts',
        find: 'heardAt: (node) => Math.max(startedAt, heard.get(node) ?? startedAt),',
        replace: 'heardAt: (node) => heard.get(node) ?? 0,',
      },
      { file: 'patience.ts', find: 'kind.peer === undefined || clock.now() >= end', replace: 'kind.peer === undefined || clock.now() >= 0' },
    ],
    schedule: 'requester away',
    breaks: [11],
  },
  {
    name: 'capacity freed before exit',
    edits: [
      {
        file: 'machines/compute-execution.ts',
        find: "    case 'stopping':\n      return { cpu, memory, disk, devices: context.devices }\n",
        replace: "      return { cpu, memory, disk, devices: context.devices }\n    case 'stopping':\n",
      },
    ],
    schedule: 'slow start',
    breaks: [2],
  },
  {
    name: 'a second accept overwrites the result',
    edits: [
      // The slot would keep the second from ever being heard.
      { file: 'kernel/turn.ts', find: "return news === 'new'", replace: "return news === 'new' || news === 'equivocation'" },
      {
        file: 'machines/execution.ts',
        find: "        stopped: { target: 'lost', actions: [selfStopped, log] },\n        finished: { actions: 'note' },\n",
        replace:
          "        stopped: { target: 'lost', actions: [selfStopped, log] },\n        finished: { target: 'accepted', reenter: true, actions: { type: 'keep', params: ({ event }) => event } },\n",
      },
    ],
    schedule: 'two outcomes',
    breaks: [5],
  },
  {
    name: 'a node outlives its lease',
    edits: [{ file: 'compute/heartbeats.ts', find: 'if (over.length > 0) world.kernel', replace: 'if (over.length < 0) world.kernel' }],
    schedule: 'seeds',
    breaks: [11],
  },
  {
    name: 'a publication outlives its lease',
    edits: [
      {
        file: 'compute/heartbeats.ts',
        find: 'return publication.isBegun ? Math.max(granted, publication.until) : publication.until',
        replace: 'return Infinity',
      },
    ],
    schedule: 'seeds',
    breaks: [11],
  },
  {
    name: 'a publication waits for no lease',
    edits: [{ file: 'compute/heartbeats.ts', find: 'if (until > now) begin(one, until)', replace: 'if (until < Infinity) begin(one, one.until)' }],
    schedule: 'away while publishing',
    breaks: [11],
  },
  {
    name: 'publishing has no end',
    edits: [{ file: 'machines/compute-execution.ts', find: '(context.finishedAt ?? now) + context.terms.publish - now', replace: '1e9' }],
    schedule: 'seeds',
    breaks: [6],
  },
  {
    name: 'the epoch is never raised',
    edits: [
      {
        file: 'machines/shard.ts',
        find: 'assign(({ context }) => ({ epoch: context.epoch + 1, asked',
        replace: 'assign(({ context }) => ({ epoch: context.epoch, asked',
      },
    ],
    schedule: 'seeds',
    breaks: [5],
  },
  {
    name: 'what is published counts in any epoch',
    edits: [
      {
        file: 'machines/execution.ts',
        find: "guard: ({ context, event }) => event.epoch === context.epoch && context.publisher === 'none',",
        replace: "guard: ({ context }) => context.publisher === 'none',",
      },
      {
        file: 'machines/execution.ts',
        find: "target: 'matching',\n            guard: ({ context, event }) => event.epoch === context.epoch,",
        replace: "target: 'matching',\n            guard: () => true,",
      },
    ],
    schedule: 'another epoch',
    breaks: [5],
  },
  {
    name: 'whatever is published matches',
    edits: [{ file: 'requester/match.ts', find: 'tree.digest === digest', replace: 'true' }],
    schedule: 'seeds',
    breaks: [5],
  },
  {
    name: 'a bid that nobody wants is not released',
    edits: [
      {
        file: 'machines/shard.ts',
        find: 'const release = (context: ShardContext, asked: Asked): Output => ({',
        replace: `const release = (context: ShardContext, asked: Asked): Output => 1 ? { do: 'tell', kind: 'job', id: context.jobId, event: { type: 'planning' } } : ({`,
      },
    ],
    schedule: 'seeds',
    breaks: [7],
  },
  {
    name: 'an execution runs on after its job was cancelled',
    edits: [
      {
        file: 'machines/execution.ts',
        find: "        awarded: { actions: 'note' },\n        stop: 'stopping',\n        deadline: [",
        replace: "        awarded: { actions: 'note' },\n        stop: { actions: 'note' },\n        deadline: [",
      },
    ],
    schedule: 'slow start',
    breaks: [17],
  },
  {
    name: 'deadlines come two minutes late',
    edits: [
      // A second less than the alarm, or it rings again at once.
      { file: 'kernel/turn.ts', find: 'transaction.due(now, 1)', replace: 'transaction.due(now - 119_000, 1)' },
      { file: 'kernel/kernel.ts', find: 'alarm = clock.at(time, fire)', replace: 'alarm = clock.at(time + 120_000, fire)' },
    ],
    schedule: 'seeds',
    breaks: [8],
  },
  {
    name: 'what is said again is news',
    edits: [{ file: 'kernel/turn.ts', find: "return news === 'new'", replace: 'return true' }],
    schedule: 'seeds',
    breaks: [10],
  },
  {
    name: 'workspaces stay',
    edits: [{ file: 'compute/role.ts', find: '        await workspace.remove(entry.id)\n        lists', replace: '        lists' }],
    schedule: 'seeds',
    breaks: [15],
  },
  {
    name: 'hardly any history is written',
    edits: [
      {
        file: 'kernel/turn.ts',
        find: 'if (state !== before?.state) recordTransition',
        replace: "if (state !== before?.state && (event.event.type === 'submit' || state === 'accepted')) recordTransition",
      },
    ],
    schedule: 'seeds',
    breaks: [16],
  },
  {
    name: 'a device is given twice',
    edits: [
      { file: 'compute/capacity.ts', find: 'all.filter(({ id }) => ledger.devices[id] === undefined)', replace: 'all' },
      // The ledger would refuse it too.
      { file: 'kernel/ledger.ts', find: 'if (devices[id] !== undefined && devices[id] !== owner) throw', replace: "if (devices[id] === '') throw" },
    ],
    schedule: 'seeds',
    breaks: [1],
  },
  {
    name: 'an ask is bypassed without end',
    edits: [{ file: 'compute/admission.ts', find: 'first.bypassed < settings.bypasses ?', replace: 'first.bypassed < 1e9 ?' }],
    schedule: 'seeds',
    breaks: [15],
  },
]

/** The source with the mutant in it. Throws where it no longer fits: then it would find nothing. */
export const mutate = (source: string, find: string, replace: string): string => {
  const parts = source.split(find)
  if (parts.length !== 2) throw new Error(`the mutant's place is there ${parts.length - 1} times, not once: ${find}`)
  return parts.join(replace)
}

/** Whether what a schedule found broken is a law that the mutant breaks: a mutant that merely does not run is not found out. */
export const isFoundOut = ({ breaks }: Pick<Mutant, 'breaks'>, broken: string | null): boolean =>
  breaks.some((number) => broken?.startsWith(`invariant ${number} is broken`))
