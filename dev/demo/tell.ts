// How the demo talks: headings, sentences, what programs print, and verdicts, which are counted.

let failures = 0;

/** @throws Error when a verdict was bad. */
export function needGoodVerdicts(): void {
  if (failures > 0) throw new Error(`${failures} of the checks above failed`);
}

export function heading(text: string): void {
  console.log(`\n${painted(1, text)}`);
}

export function say(text: string): void {
  console.log(text);
}

export function show(text: string): void {
  console.log(text.replaceAll(/^/gm, "    "));
}

/** A command line, as one would type it. */
export function command(text: string): void {
  console.log(`  ${painted(2, `$ ${text}`)}`);
}

/** A check of the demo's own. */
export function verdict(good: boolean, text: string): void {
  if (!good) failures++;
  console.log(`    ${good ? painted(32, "ok") : painted(31, "NOT OK")}  ${text}`);
}

/** Colours are for terminals. */
function painted(code: number, text: string): string {
  return process.stdout.isTTY && !process.env["NO_COLOR"] ? `\x1b[${code}m${text}\x1b[0m` : text;
}
