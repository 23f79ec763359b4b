/** Header names and values of lines such as "- `X-Event: name` - what it is". */
export function documentedHeaders(lines: string[]): [name: string, value: string][] {
  const headers = lines.flatMap((line) => {
    const [, name, value] = /^(?:- `)?([A-Za-z-]+): ([^`]*)/.exec(line) ?? [];
    return name && value !== undefined ? [[name, value] as [string, string]] : [];
  });
  if (headers.length === 0) throw new Error(`No headers in: ${lines.join('\n')}`);
  return headers;
}

/**
 * A header of a request by its documented name. A name of the system's own must be written just so; an ordinary one may
 * be in any case (RFC 9110 §5.1: they are all case-insensitive, and no receiver should care).
 */
export function headerOf(
  { headers, rawHeaders }: { headers: Record<string, string>; rawHeaders: string[] },
  name: string,
): string | undefined {
  if (name.startsWith('X-') && !rawHeaders.includes(name)) return undefined;
  return headers[name.toLowerCase()];
}
