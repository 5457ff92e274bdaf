// Prints the closing line of CI from a vitest JSON report. Fails where tests failed, where none ran, or where there is no report.
import { readFileSync } from 'node:fs'

interface Report {
  readonly success: boolean
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly numFailedTestSuites: number
}

const read = (file: string): Report | undefined => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report
  } catch {
    return undefined
  }
}

const report = read(process.argv[2] ?? '')
if (!report) console.error('vitest left no report: it did not get as far as running tests')
const passed = report?.numPassedTests ?? 0
const failed = report?.numFailedTests ?? 0
const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0)
if (report && !report.success && failed === 0) console.error('vitest failed outside of a test: see above')
console.log(`tests: ${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exitCode = report?.success && failed === 0 && passed > 0 ? 0 : 1
