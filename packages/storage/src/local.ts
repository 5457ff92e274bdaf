export { type LocalPublisherOptions, localPublisher } from './local/publisher.ts'
export { type LocalSourceOptions, localSource } from './local/source.ts'
export { type LocalWorkspaceOptions, localWorkspace } from './local/workspace.ts'
