import { readFileSync } from 'node:fs';

export type Family = 'debian' | 'fedora' | 'alpine' | 'arch' | 'macos' | 'windows' | 'other';
/** What must be known of this machine to say how Redis gets onto it. */
export type System = { family: Family; isRoot: boolean };

/** Looks at the machine that we are on. */
export function thisSystem(): System {
  const isRoot = process.getuid?.() === 0;
  if (process.platform === 'darwin') return { family: 'macos', isRoot };
  if (process.platform === 'win32') return { family: 'windows', isRoot };
  return { family: familyOf(readOsRelease()), isRoot };
}

/** The distribution's family from its os-release(5) text: `ID`, else the first known of `ID_LIKE`. */
export function familyOf(osRelease: string): Family {
  const value = (key: string) => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(osRelease)?.[1] ?? '';
  for (const id of `${value('ID')} ${value('ID_LIKE')}`.split(' ')) {
    if (id === 'debian' || id === 'ubuntu') return 'debian';
    if (id === 'fedora' || id === 'rhel') return 'fedora';
    if (id === 'alpine' || id === 'arch') return id;
  }
  return 'other';
}

function readOsRelease(): string {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      // the next place that os-release(5) names
    }
  }
  return '';
}
