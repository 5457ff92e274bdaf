import { executorConformance } from '@skrei/executor/conformance'
import { beforeAll } from 'vitest'
import { dockerExecutor } from '../src/index.ts'
import { haveImage, image, namespace, shell, withEngine } from './docker-engine.ts'

withEngine('on a Docker engine', () => {
  beforeAll(haveImage)
  const own = namespace()
  const program = (script: string, ...args: readonly string[]) => ({ engine: shell(script, ...args) })

  executorConformance({
    name: 'docker',
    create: ({ home }) => dockerExecutor({ directory: home, namespace: own, outputInterval: 20 }),
    deadline: 60_000,
    capabilities: { restart: true },
    programs: {
      hello: program('echo hello'),
      exit7: program('echo oops >&2; exit 7'),
      forever: program('echo ready; exec sleep 1000000'),
      beats: program('echo ready; i=0; while :; do i=$((i+1)); echo $i > /outputs/beat; done'),
      flood: program('head -c 300000 /dev/zero | tr "\\0" a'),
      arguments: program('for a in "$@"; do echo "$a"; done', 'one', 'two words', ''),
      environment: program('echo "$GREETING"'),
      reads: program('cat /inputs/letter.txt'),
      tampers: program('echo x > /inputs/letter.txt; echo x > /inputs/new.txt; rm -f /inputs/letter.txt; mv /outputs/x /inputs/letter.txt; exit 0'),
      writes: program('echo hello > /outputs/greeting.txt; mkdir -p /outputs/a/b; echo deep > /outputs/a/b/deep.txt'),
      fills: program('head -c 1048576 /dev/zero > /outputs/big; for i in 1 2 3 4; do head -c 262144 /dev/zero > /outputs/$i; done; exit 0'),
      scatters: program('for i in $(seq 64); do echo $i > /outputs/$i; done'),
      links: program('ln -s / /outputs/link; echo x > /outputs/link/tmp/through; exit 0'),
      exhausts: program('exec dd if=/dev/zero of=/dev/null bs=190M'),
      invalid: { engine: { type: 'docker', image, entrypoint: ['/etc/passwd'], pull: 'never' } },
    },
  })
})
