// A thread that run-seeds.ts can drive: some seeds answer late, some break, some end their thread.
import { parentPort } from 'node:worker_threads'

const answer = (broken: string | null): void => parentPort?.postMessage(broken)

parentPort?.on('message', (seed: number) => {
  if (seed === 3) setTimeout(answer, 200, 'broken late')
  else if (seed === 5)
    setTimeout(() => {
      throw new Error('nobody caught this')
    })
  else if (seed === 8) process.exit(3)
  else answer(seed % 6 === 0 ? `broken at ${seed}` : null)
})
