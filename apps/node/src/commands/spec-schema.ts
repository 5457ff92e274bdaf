import { jobJsonSchema } from '@skrei/job-spec'

/** `skrei spec schema`: the JSON Schema of job files, for editors. */
export const specSchema = (): void => void process.stdout.write(`${JSON.stringify(jobJsonSchema(), null, 2)}\n`)
