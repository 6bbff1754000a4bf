/**
 * Parses files of variables as shells and dotenv libraries read them: `export KEY="value" # comment`. Nothing is expanded. Pure.
 */

/**
 * Returns the variables by name; of several with the same name the last one is used.
 *
 * @param report Called for each line that is not an assignment; such lines are skipped.
 */
export function parseDotenv(text: string, report: (problem: string) => void = () => {}): Map<string, string> {
  const variables = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const { name, value } = assignment.exec(line)?.groups ?? {};
    if (name === undefined || value === undefined) {
      report(`line ${index + 1} is not a variable assignment: ${JSON.stringify(line)}`);
    } else {
      variables.set(name, unquoted(value));
    }
  }
  return variables;
}

const assignment = /^\s*(?:export\s+)?(?<name>[A-Za-z_][\w.]*)\s*=\s*(?<value>.*)$/;

/** Returns the text in quotes, or everything up to a comment. */
function unquoted(value: string): string {
  const { double, single } = /^(?:"(?<double>(?:\\.|[^"\\])*)"|'(?<single>[^']*)')/.exec(value)?.groups ?? {};
  return single ?? double?.replaceAll(/\\(.)/g, "$1") ?? value.replace(/(^|\s+)#.*$/, "").trimEnd();
}
