/** Quotes a text as one word of a shell command that an administrator copies; leaves it as it is where that is not needed. Pure. */
export const shellWord = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
