/** Plain data: what `JSON` keeps. No undefined, no functions, finite numbers. */
export type Data = null | boolean | number | string | readonly Data[] | { readonly [key: string]: Data }
