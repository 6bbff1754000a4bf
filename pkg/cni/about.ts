/**
 * The text that a plugin prints when it is called without CNI_COMMAND. Programs read its first line: Nomad takes the first word
 * that is a semantic version and wants at least 0.4.0; nerdctl takes everything behind "CNI firewall plugin ". So the line has the
 * form of the reference plugins, with the number of the release that ours replace, and our own version as build metadata.
 */
import type { AnyPlugin } from "./plugin.ts";
import { referenceRelease, supportedVersions } from "./version.ts";

/** @param version of the executable. @param program the name by which the caller ran it. */
export function aboutText(
  { name, about, versions = supportedVersions }: Pick<AnyPlugin, "name" | "about" | "versions">,
  version: string,
  program: string,
): string {
  return [
    `CNI ${name} plugin v${referenceRelease}+twill.${version}`,
    `CNI protocol versions supported: ${versions.join(", ")}`,
    `${aboutMark}${about}`,
    `Container runtimes call it. By hand, try: CNI_COMMAND=VERSION ${program}`,
    "",
  ].join("\n");
}

const aboutMark = "About: ";

export interface Introduction {
  /** One line, empty when the plugin prints nothing. */
  about: string;
  /** Whether the plugin is one of twill's. */
  isOurs: boolean;
}

/** Parses the text that `aboutText` of this or an earlier build printed, or that another plugin printed. */
export function parseAbout(text: string): Introduction {
  const [first = "", ...rest] = text.trim().split("\n");
  if (/^CNI \S+ plugin \S+ \(twill\): /.test(first)) return { about: first, isOurs: true }; // builds before "+twill."
  const isOurs = /^CNI \S+ plugin v\S+\+twill\./.test(first);
  const about = isOurs ? rest.find((line) => line.startsWith(aboutMark)) : undefined;
  return { about: about === undefined ? first : `${first}: ${about.slice(aboutMark.length)}`, isOurs };
}
