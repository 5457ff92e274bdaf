import { sourceConformance } from '../src/conformance.ts'
import { inlineSource } from '../src/inline.ts'

sourceConformance({
  name: 'inline',
  create: async () => ({
    source: inlineSource(),
    putFile: async (bytes) => ({ type: 'inline', base64: Buffer.from(bytes).toString('base64') }),
    [Symbol.asyncDispose]: async () => {},
  }),
  largest: 1024 * 1024,
  failing: [
    { name: 'more than the limit', code: 'source-too-large', source: () => ({ type: 'inline', text: 'x'.repeat(1024 * 1024 + 1) }) },
    { name: 'not base64', code: 'source-invalid', source: () => ({ type: 'inline', base64: 'a-_=' }) },
    { name: 'text that is no text', code: 'source-invalid', source: () => ({ type: 'inline', text: '\ud800' }) },
    { name: 'both', code: 'source-invalid', source: () => ({ type: 'inline', text: '', base64: '' }) },
    { name: 'neither', code: 'source-invalid', source: () => ({ type: 'inline' }) },
  ],
})
