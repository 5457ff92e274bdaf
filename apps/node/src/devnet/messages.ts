/** What a process of a devnet tells the one that started it. */
export type DevnetMessage =
  | { readonly type: 'ready'; readonly home: string; readonly nodeId: string; readonly api: string; readonly addresses: readonly string[] }
  | { readonly type: 'failed'; readonly home: string; readonly code: string; readonly message: string }
