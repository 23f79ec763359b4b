import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
/** Where the four systems' documents are; they are no part of this repository. */
export const DOCUMENTS_DIR = process.env.SEALPOST_SEEDS_DIR ?? join(ROOT, '..', 'shared', 'seeds');

export const haveDocuments = existsSync(DOCUMENTS_DIR);

/** A fenced code block. `language` is empty when the fence names none. */
export type Block = { heading: string; language: string; code: string };

/** A Markdown document, looked up by its headings. What is looked for and not there throws. */
export class SeedDocument {
  readonly name: string;
  readonly blocks: Block[] = [];
  /** Lines outside of code, under the innermost heading above them. */
  readonly #prose = new Map<string, string[]>();

  constructor(name: string, text: string) {
    this.name = name;
    let heading = '';
    let fence: { indent: number; language: string; lines: string[] } | undefined;
    for (const line of text.split(/\r?\n/)) {
      const mark = /^( *)```(\S*)/.exec(line);
      if (fence && mark) {
        this.blocks.push({ heading, language: fence.language, code: `${fence.lines.join('\n')}\n` });
        fence = undefined;
      } else if (fence) fence.lines.push(line.slice(Math.min(fence.indent, line.search(/\S|$/))));
      else if (mark) fence = { indent: mark[1]!.length, language: mark[2]!, lines: [] };
      else if (/^#+ /.test(line)) heading = line.replace(/^#+ /, '').trim();
      else this.#prose.set(heading, [...(this.#prose.get(heading) ?? []), line]);
    }
    if (fence) throw new Error(`${name}: the last code block has no end`);
  }

  static read(name: string): SeedDocument {
    return new SeedDocument(name, readFileSync(join(DOCUMENTS_DIR, name), 'utf8'));
  }

  /** Every block of a language under a heading; there must be one at least. */
  codes(heading: string, language: string): string[] {
    const found = this.blocks.filter((block) => block.heading === heading && block.language === language);
    if (found.length === 0)
      throw new Error(`${this.name} has no ${language || 'bare'} block under "${heading}"`);
    return found.map(({ code }) => code);
  }

  /** The only block of a language under a heading. */
  code(heading: string, language: string): string {
    const found = this.codes(heading, language);
    if (found.length > 1) throw new Error(`${this.name} has ${found.length} such blocks under "${heading}"`);
    return found[0]!;
  }

  /** A block of JSON; `{ ... }`, by which a document leaves something out, is an empty object. */
  json(heading: string): unknown {
    return JSON.parse(withoutEllipsis(this.code(heading, 'json')));
  }

  /** The lines of prose right under a heading. */
  lines(heading: string): string[] {
    const lines = this.#prose.get(heading)?.filter((line) => line.trim() !== '');
    if (!lines?.length) throw new Error(`${this.name} says nothing under "${heading}"`);
    return lines;
  }

  /** The items of the list right under a heading, without their bullet. */
  list(heading: string): string[] {
    const items = this.lines(heading).filter((line) => /^\s*(-|\d+\.) /.test(line));
    if (items.length === 0) throw new Error(`${this.name} has no list under "${heading}"`);
    return items.map((line) => line.replace(/^\s*(-|\d+\.) /, ''));
  }
}

export function withoutEllipsis(json: string): string {
  return json.replaceAll('{ ... }', '{}');
}
