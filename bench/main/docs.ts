import { readFile, writeFile } from 'node:fs/promises';

const [BEGIN, END] = ['<!-- bench:begin -->', '<!-- bench:end -->'];

/** Puts text between the two marks of a document, in place of what is there. @throws Error where they are not */
export async function replaceFigures(file: string, text: string): Promise<void> {
  const document = await readFile(file, 'utf8');
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${file} has no place for figures`);
  const before = document.slice(0, begin + BEGIN.length);
  await writeFile(file, `${before}\n${text}\n${document.slice(end)}`);
}
