import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatBytes, formatCpu, formatDuration, parseBytes, parseCpu, parseDuration } from '../src/index.ts'

test.each([
  ['0', 0],
  ['2', 2000],
  ['0.5', 500],
  ['500m', 500],
  ['.5', 500],
  ['1.', 1000],
  ['+1', 1000],
  ['0.001', 1],
  ['1e3', 1_000_000],
  ['1E-3', 1],
  ['1k', 1_000_000],
  ['1000u', 1],
  ['1000000n', 1],
  ['0.0001', undefined],
  ['1u', undefined],
  ['-1', undefined],
  ['', undefined],
  [' 1', undefined],
  ['1 ', undefined],
  ['1mm', undefined],
  ['0x10', undefined],
  ['1_000', undefined],
  ['.', undefined],
  ['1e', undefined],
  ['1e400', undefined],
  ['NaN', undefined],
  ['Infinity', undefined],
  ['1Gi', 1_073_741_824_000],
  ['1Ei', undefined],
])('CPU %j is %j thousandths', (text, expected) => expect(parseCpu(text)).toBe(expected))

test.each([
  ['512Mi', 536_870_912],
  ['1Gi', 1_073_741_824],
  ['1.5Gi', 1_610_612_736],
  ['0.1k', 100],
  ['1G', 1e9],
  ['1e6', 1e6],
  ['1E6', 1e6],
  ['1000m', 1],
  ['1500m', undefined],
  ['128974848', 128_974_848],
  ['129e6', 129e6],
  ['129M', 129e6],
  ['128974848000m', 128_974_848],
  ['123Mi', 128_974_848],
  ['7Pi', 7_881_299_347_898_368],
  ['8Pi', undefined],
  ['9E', undefined],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ['9007199254740992', undefined],
  ['0.1Ki', undefined],
  ['0.5Ki', 512],
  ['1ki', undefined],
  ['1K', undefined],
  ['1KB', undefined],
  ['1MB', undefined],
  ['-1Gi', undefined],
  ['1e-1', undefined],
  ['0.1Gi', undefined],
  ['1e99', undefined],
  [`${'9'.repeat(60)}`, undefined],
  ['1'.repeat(100_000), undefined],
])('%s are %j bytes', (text, expected) => expect(parseBytes(text)).toBe(expected))

test.each([
  ['500ms', 500],
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['1d', 86_400_000],
  ['1m500ms', 60_500],
  ['365d', 31_536_000_000],
  ['366d', undefined],
  ['0s', undefined],
  ['', undefined],
  ['5', undefined],
  ['1.5h', undefined],
  ['30m1h', undefined],
  ['1s1s', undefined],
  ['-1s', undefined],
  ['1 s', undefined],
  ['1S', undefined],
  ['9'.repeat(100_000), undefined],
])('duration %s is %j milliseconds', (text, expected) => expect(parseDuration(text)).toBe(expected))

test('what is formatted parses to the same number', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.integer({ min: 1, max: 31_536_000_000 }), fc.nat(1_000_000), (amount, duration, mebibytes) => {
      expect(parseCpu(formatCpu(amount))).toBe(amount)
      expect(parseBytes(formatBytes(amount))).toBe(amount)
      expect(parseBytes(formatBytes(mebibytes * 2 ** 20))).toBe(mebibytes * 2 ** 20)
      expect(parseDuration(formatDuration(duration))).toBe(duration)
    }),
  )
})

test('decimal fractions are exact, where floats are not', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.nat(999), (whole, thousandths) => {
      expect(parseCpu(`${whole}.${String(thousandths).padStart(3, '0')}`)).toBe(whole * 1000 + thousandths)
      expect(parseBytes(`${whole}.${String(thousandths).padStart(3, '0')}k`)).toBe(whole * 1000 + thousandths)
    }),
  )
})

test('any text is a quantity or none, without a throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789.eE+-kKMGTPinum ') }), (text) => {
      for (const parse of [parseCpu, parseBytes, parseDuration]) {
        const value = parse(text)
        expect(value === undefined || (Number.isSafeInteger(value) && value >= 0)).toBe(true)
      }
    }),
    { numRuns: 2000 },
  )
})
