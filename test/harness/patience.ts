/**
 * How long a test waits for what must come. It costs nothing while all is well, and a starved machine may need much of it; no
 * test may be right only because a wait ends.
 */
export const PATIENCE_MS = 60_000;
