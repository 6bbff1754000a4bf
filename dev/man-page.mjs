// Manual pages out of what programs print for --help.

const MAKES = { 1: "User Commands", 8: "System Administration" };

/** Returns a page: the name with what it is for, how it is called, and the help as it is printed. @param section 1: commands, 8: for the administrator */
export function manPage({ name, section, about, help, version }) {
  const usage = help.match(/^(?:usage: *)(\S.*)$/im)?.[1] ?? help.match(/^usage:\n((?: {2}.*\n)+)/im)?.[1] ?? name;
  return [
    `.TH "${name.toUpperCase()}" "${section}" "" "twill ${version}" "${MAKES[section]}"`,
    ".SH NAME",
    `${escaped(name)} \\- ${escaped(about)}`,
    ".SH SYNOPSIS",
    ...verbatim(usage.replace(/^ {2}/gm, "")),
    ".SH DESCRIPTION",
    ...verbatim(help),
    "",
  ].join("\n");
}

const verbatim = (text) => [".nf", ...text.trimEnd().split("\n").map(escapedLine), ".fi"];

const escaped = (text) => text.replaceAll("\\", "\\e").replaceAll("-", "\\-");

/** A line that begins with a dot or an apostrophe would be a command of troff. */
const escapedLine = (line) => escaped(line).replace(/^[.']/, "\\&$&");
