import { expect, test } from 'vitest'
import { detectGpus } from '../src/index.ts'
import { fixture, sysfsOf, tools } from './machine.ts'

const gib = 2 ** 30

test('a machine without devices and without tools has no GPU and no problem', async () => {
  expect(await detectGpus({ runTool: tools({}), sysfs: await sysfsOf({}) })).toEqual({ gpus: [], problems: [] })
})

test('hardware without the tool that describes it is said, by its vendor', async () => {
  const sysfs = await sysfsOf({
    '0000:01:00.0': { vendor: '0x10de\n', class: '0x030200\n' },
    '0000:02:00.0': { vendor: '0x1002\n', class: '0x120000\n' },
    // A network card of Intel's is no GPU.
    '0000:03:00.0': { vendor: '0x8086\n', class: '0x020000\n' },
  })
  const { problems } = await detectGpus({ runTool: tools({}), sysfs })
  expect(problems.map(({ vendor, code }) => [vendor, code])).toEqual([
    ['nvidia', 'tool-missing'],
    ['amd', 'tool-missing'],
  ])
})

test('NVIDIA devices have id, model, memory in bytes, driver and utilisation; what the tool does not know is absent', async () => {
  const { gpus, problems } = await detectGpus({ runTool: tools({ 'nvidia-smi': await fixture('nvidia-query.csv') }), sysfs: await sysfsOf({}) })
  expect(problems).toEqual([])
  expect(gpus).toEqual([
    {
      id: 'GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01',
      kind: 'gpu',
      vendor: 'nvidia',
      model: 'NVIDIA A100-SXM4-80GB',
      memory: 80 * gib,
      driver: '550.90.07',
      utilisation: 0,
      pciAddress: '0000:07:00.0',
      nodes: [],
    },
    expect.objectContaining({ id: 'GPU-8b7c1f5e-2f44-4c1a-8a57-0e6c3c9d0c02', utilisation: 97, pciAddress: '0000:0f:00.0' }),
    expect.objectContaining({ model: 'NVIDIA GeForce RTX 4090', memory: 24564 * 2 ** 20, pciAddress: '0001:47:00.0' }),
  ])
  expect(gpus[2]).not.toHaveProperty('utilisation')
})

test('of sick NVIDIA devices and a tool that stops in the middle of a line, those that are whole are offered', async () => {
  const runTool = tools({ 'nvidia-smi': { status: 'failed', stdout: await fixture('nvidia-query-sick.csv'), detail: 'nvidia-smi ended with code 15' } })
  const { gpus, problems } = await detectGpus({ runTool, sysfs: await sysfsOf({}) })
  expect(gpus.map(({ id }) => id)).toEqual(['GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01', 'GPU-c3d90a77-91ab-4a66-b7ce-55e0f4f20c03'])
  expect(gpus[0]).not.toHaveProperty('utilisation')
  expect(gpus[1]).not.toHaveProperty('memory')
  expect(problems).toEqual([{ vendor: 'nvidia', code: 'tool-failed', detail: 'nvidia-smi ended with code 15' }])
})

test('a device in MIG mode is offered as its instances, each with the memory that it has', async () => {
  const whole = 'GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77, 00000000:07:00.0, 550.90.07, 40960, [N/A], Enabled, NVIDIA A100-SXM4-40GB'
  const other = 'GPU-dc5a0ac3-6e54-4a1c-8a49-6b1e80c0f0a1, 00000000:0F:00.0, 550.90.07, 40960, 3, Disabled, NVIDIA A100-SXM4-40GB'
  const runTool = tools({
    'nvidia-smi -L': await fixture('nvidia-list-mig.txt'),
    'nvidia-smi -q -x': await fixture('nvidia-mig.xml'),
    'nvidia-smi': `${whole}\n${other}\n`,
  })
  const { gpus, problems } = await detectGpus({ runTool, sysfs: await sysfsOf({}) })
  expect(problems).toEqual([])
  expect(gpus.map(({ id, model, memory }) => [id, model, memory])).toEqual([
    ['MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f', 'NVIDIA A100-SXM4-40GB MIG 3g.20gb', 19968 * 2 ** 20],
    ['MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb', 'NVIDIA A100-SXM4-40GB MIG 1g.5gb', 4864 * 2 ** 20],
    ['MIG-1e099852-3624-56c0-8064-c5db1211e44f', 'NVIDIA A100-SXM4-40GB MIG 1g.5gb+me', undefined],
    ['GPU-dc5a0ac3-6e54-4a1c-8a49-6b1e80c0f0a1', 'NVIDIA A100-SXM4-40GB', 40 * gib],
  ])
})

test('instances of drivers before 470 are known by their device and two numbers', async () => {
  const runTool = tools({
    'nvidia-smi -L': await fixture('nvidia-list-mig-450.txt'),
    'nvidia-smi -q -x': { status: 'failed', stdout: '', detail: 'nvidia-smi did not end within 20000 ms' },
    'nvidia-smi': 'GPU-9de3d0e8-33f5-10dc-0c79-2c88a7ab0a23, 00000000:07:00.0, 450.80.02, 40536, [N/A], Enabled, A100-PCIE-40GB\n',
  })
  const { gpus, problems } = await detectGpus({ runTool, sysfs: await sysfsOf({}) })
  expect(gpus.map(({ id }) => id)).toEqual(['MIG-GPU-9de3d0e8-33f5-10dc-0c79-2c88a7ab0a23/2/0', 'MIG-GPU-9de3d0e8-33f5-10dc-0c79-2c88a7ab0a23/9/0'])
  expect(gpus.every((gpu) => !('memory' in gpu))).toBe(true)
  expect(problems.map(({ code }) => code)).toEqual(['tool-failed'])
})

test('a device in MIG mode whose instances are not known is not offered whole', async () => {
  const runTool = tools({
    'nvidia-smi -L': { status: 'failed', stdout: '', detail: 'nvidia-smi ended with code 9' },
    'nvidia-smi -q -x': '',
    'nvidia-smi': 'GPU-9de3d0e8-33f5-10dc-0c79-2c88a7ab0a23, 00000000:07:00.0, 450.80.02, 40536, [N/A], Enabled, A100-PCIE-40GB\n',
  })
  const { gpus, problems } = await detectGpus({ runTool, sysfs: await sysfsOf({}) })
  expect(gpus).toEqual([])
  expect(problems.map(({ code }) => code)).toEqual(['tool-failed', 'unusable'])
})

test('a driver that knows no MIG is asked without it', async () => {
  const row = 'GPU-9de3d0e8-33f5-10dc-0c79-2c88a7ab0a23, 00000000:07:00.0, 440.33.01, 16280, 0, 1, Tesla P100-PCIE-16GB\n'
  const runTool = tools({})
  const answer: typeof runTool = Object.assign(
    async (command: string, args: readonly string[], options: object) => {
      await runTool(command, args, options)
      if (command !== 'nvidia-smi') return { status: 'missing' as const }
      return args.some((arg) => arg.includes('mig.mode'))
        ? { status: 'failed' as const, stdout: 'Field "mig.mode.current" is not a valid field to query.\n\n', detail: 'nvidia-smi ended with code 2' }
        : { status: 'ok' as const, stdout: row }
    },
    { asked: runTool.asked },
  )
  const { gpus, problems } = await detectGpus({ runTool: answer, sysfs: await sysfsOf({}) })
  expect(gpus.map(({ model }) => model)).toEqual(['Tesla P100-PCIE-16GB'])
  expect(problems).toEqual([])
})

test('AMD devices are known by their own UUID, or by their address where all cards have the same', async () => {
  const runTool = tools({ 'amd-smi list': await fixture('amd-list.json'), 'amd-smi static': await fixture('amd-static.json') })
  const sysfs = await sysfsOf({
    '0000:83:00.0': { 'drm/card1/dev': '', 'drm/renderD129/dev': '226:129', gpu_busy_percent: '42\n' },
    '0000:c3:00.0': { 'drm/renderD130/dev': '226:130' },
  })
  const { gpus, problems } = await detectGpus({ runTool, sysfs })
  expect(gpus).toEqual([
    {
      id: 'AMD-6fff74a1-0000-1000-80ea-e8d4e6c6b4ca',
      kind: 'gpu',
      vendor: 'amd',
      model: 'AMD Instinct MI300X',
      memory: 196592 * 2 ** 20,
      driver: '6.8.5',
      utilisation: 42,
      pciAddress: '0000:83:00.0',
      nodes: ['/dev/kfd', '/dev/dri/renderD129'],
    },
    { id: 'AMD-0000:c3:00.0', kind: 'gpu', vendor: 'amd', pciAddress: '0000:c3:00.0', nodes: ['/dev/kfd', '/dev/dri/renderD130'] },
  ])
  // The second partition of the card: nothing below /dev is its alone.
  expect(problems.map(({ code }) => code)).toEqual(['unusable'])
})

test('what ROCm 7 writes is read as well, after its warnings', async () => {
  const runTool = tools({ 'amd-smi list': await fixture('amd-list.json'), 'amd-smi static': await fixture('amd-static-7.json') })
  const { gpus } = await detectGpus({ runTool, sysfs: await sysfsOf({ '0000:83:00.0': { 'drm/renderD129/dev': '' } }) })
  expect(gpus.map(({ model, memory }) => [model, memory])).toEqual([['AMD Instinct MI355X', 294896 * 2 ** 20]])
})

test('where there is no amd-smi, rocm-smi is asked', async () => {
  const runTool = tools({ 'rocm-smi': await fixture('rocm-smi.json') })
  const sysfs = await sysfsOf({ '0000:83:00.0': { 'drm/renderD129/dev': '' }, '0000:c3:00.0': { 'drm/renderD130/dev': '' } })
  const { gpus, problems } = await detectGpus({ runTool, sysfs })
  expect(problems).toEqual([])
  expect(gpus.map(({ id, model, memory, driver }) => [id, model, memory, driver])).toEqual([
    ['AMD-9246aab1a9f9f0e4', 'AMD INSTINCT MI210', 68702699520, '5.18.13'],
    ['AMD-0000:c3:00.0', 'Navi 21 [Radeon RX 6800 XT]', undefined, '5.18.13'],
  ])
})

test('Intel devices have id, model, memory, driver and utilisation', async () => {
  const runTool = tools({
    'xpu-smi discovery -j': await fixture('xpu-discovery.json'),
    'xpu-smi discovery -d 0 -j': await fixture('xpu-discovery-0.json'),
    'xpu-smi stats -d 0 -j': await fixture('xpu-stats-0.json'),
  })
  const { gpus, problems } = await detectGpus({ runTool, sysfs: await sysfsOf({ '0000:29:00.0': { 'drm/renderD128/dev': '' } }) })
  expect(problems).toEqual([])
  expect(gpus).toEqual([
    {
      id: 'INTEL-00000000-0000-0029-0000-002f0bda8086',
      kind: 'gpu',
      vendor: 'intel',
      model: 'Intel(R) Data Center GPU Max 1100',
      memory: 51522830336,
      driver: 'I915_23.10.72_PSB_231129.76',
      utilisation: 12.5,
      pciAddress: '0000:29:00.0',
      number: 0,
      nodes: ['/dev/dri/renderD128'],
    },
  ])
})

const garbage: readonly string[] = [
  '',
  '\n\n\n',
  'Segmentation fault',
  '{"gpu_data":',
  '[[[[[[',
  '[null, 1, "x", {"gpu": {}}]',
  '{"device_list": [{"device_id": "x"}, null, {"device_id": -1}, {"device_id": 1e9}]}',
  '{"__proto__": {"device_list": [1]}, "constructor": 1}',
  `${'GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01,'.repeat(10_000)}`,
  `GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01, ../../etc, x, -1, 101, Disabled, ${'x'.repeat(10_000)}\n`,
  '<gpu id="<gpu id="<mig_device><index></gpu>',
  `${'<gpu id='.repeat(100_000)}`,
  '\0\x1b[31m\ufffd',
]
test.each(garbage.map((text, index) => [index, text] as const))(
  'nonsense %i of a tool is no device and no error, whichever tool writes it',
  async (_, text) => {
    const commands = ['nvidia-smi -L', 'nvidia-smi -q', 'nvidia-smi', 'amd-smi', 'rocm-smi', 'xpu-smi']
    const { gpus, problems } = await detectGpus({ runTool: tools(Object.fromEntries(commands.map((command) => [command, text]))), sysfs: await sysfsOf({}) })
    for (const gpu of gpus) expect(gpu).toEqual({ id: 'GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01', kind: 'gpu', vendor: 'nvidia', driver: 'x', nodes: [] })
    expect(problems.every(({ detail }) => detail.length < 400)).toBe(true)
  },
)

test('a tool that fails is a problem with what it said', async () => {
  const failed = (detail: string) => ({ status: 'failed' as const, stdout: '', detail })
  const runTool = tools({ 'nvidia-smi': failed('nvidia'), 'amd-smi': failed('amd'), 'xpu-smi': failed('intel') })
  const { gpus, problems } = await detectGpus({ runTool, sysfs: await sysfsOf({}) })
  expect(gpus).toEqual([])
  expect(problems).toEqual(['nvidia', 'amd', 'intel'].map((vendor) => ({ vendor, code: 'tool-failed', detail: vendor })))
})

test('an aborted signal is honoured', async () => {
  await expect(detectGpus({ runTool: tools({}), sysfs: await sysfsOf({}), signal: AbortSignal.abort(new Error('given up')) })).rejects.toThrow('given up')
})
