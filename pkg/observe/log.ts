/** What the daemon says of its work, a line per event. */

export type Level = "debug" | "info" | "warn" | "error";
/** Named values of an event: what a script looks for. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}
