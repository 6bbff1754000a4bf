/** Differences of what a fake kernel has, as text. */

/** Returns the lines that went, with `-`, and those that came, with `+`; each without its indentation. */
export function difference(before: string, after: string): string[] {
  const [old, now] = [before, after].map((text) => text.split("\n").map((line) => line.trim())) as [string[], string[]];
  const rest = [...now];
  const gone = old.filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  return [...gone.map((line) => `- ${line}`), ...rest.map((line) => `+ ${line}`)];
}
