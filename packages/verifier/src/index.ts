export * from './method.ts'
export * from './none.ts'
