export * from './expressions.ts';
export { SandboxBusy } from './line.ts';
export { Sandbox } from './sandbox.ts';
