export * from './expressions.ts';
export { Sandbox, SandboxBusy } from './sandbox.ts';
