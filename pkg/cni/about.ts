/**
 * What a plugin prints when it is called without CNI_COMMAND. The first line is read by programs: Nomad takes its first word
 * that is a semantic version and wants at least 0.4.0, nerdctl everything behind "CNI firewall plugin ". So it has the form of
 * the reference plugins, with the release that ours take the place of, and our own version as build metadata.
 */
import type { AnyPlugin } from "./plugin.ts";
import { referenceRelease, supportedVersions } from "./version.ts";

/** @param version Of the executable. @param program As the caller named it. */
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
  /** One line; empty: it says nothing. */
  about: string;
  /** Whether it is a plugin of twill. */
  isOurs: boolean;
}

/** Reads what `aboutText` of this or an earlier build printed, or another plugin. */
export function parseAbout(text: string): Introduction {
  const [first = "", ...rest] = text.trim().split("\n");
  if (/^CNI \S+ plugin \S+ \(twill\): /.test(first)) return { about: first, isOurs: true }; // builds before "+twill."
  const isOurs = /^CNI \S+ plugin v\S+\+twill\./.test(first);
  const about = isOurs ? rest.find((line) => line.startsWith(aboutMark)) : undefined;
  return { about: about === undefined ? first : `${first}: ${about.slice(aboutMark.length)}`, isOurs };
}
