export { type PublisherCase, type PublisherConformance, type PublisherHarness, publisherCases, publisherConformance } from './conformance/publisher.ts'
export { type SourceCase, type SourceConformance, type SourceHarness, sourceCases, sourceConformance } from './conformance/source.ts'
export { type WorkspaceCase, type WorkspaceConformance, type WorkspaceHarness, workspaceCases, workspaceConformance } from './conformance/workspace.ts'
