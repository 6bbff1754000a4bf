/** Versions of the CNI specification: parses, compares, selects them; also the release of the reference plugins that ours replace. Pure. */
import { CniError, ErrorCode } from "./error.ts";

/** The versions that we support, oldest first. */
export const supportedVersions: readonly string[] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
export const newestVersion = "1.1.0";

/** The release of the reference plugins (containernetworking/plugins) that ours replace. */
export const referenceRelease = "1.9.1";

/** The version of a configuration without `cniVersion`. */
export const oldestVersion = "0.1.0";

/** Versions with the same form of result: a result of one can be read as one of another, see `result.ts`. */
export const versionFamilies: readonly (readonly string[])[] = [
  ["0.1.0", "0.2.0"],
  ["0.3.0", "0.3.1", "0.4.0"],
  ["1.0.0", "1.1.0"],
];

/** Returns the family of a version; undefined for a version that we do not know. "" is 0.1.0. */
export function versionFamilyOf(version: string): readonly string[] | undefined {
  const known = version === "" ? oldestVersion : version;
  return versionFamilies.find((family) => family.includes(known));
}

/**
 * Returns less than 0, 0, or more than 0, comparing the parts as numbers; missing parts are 0, "" is 0.1.0.
 *
 * @throws CniError 6: more than three parts, or a part that is no number (so pre-releases are refused).
 */
export function compareVersions(one: string, other: string): number {
  const [place, otherPlace] = [placeOf.get(one), placeOf.get(other)];
  if (place !== undefined && otherPlace !== undefined) return place - otherPlace;
  const [a, b] = [parts(one), parts(other)];
  for (let i = 0; i < 3; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The order of the versions that almost all calls name. */
const placeOf: ReadonlyMap<string, number> = new Map([
  ["", 0],
  ...supportedVersions.map((version, place): [string, number] => [version, place]),
]);

export const isAtLeast = (version: string, minimum: string): boolean => compareVersions(version, minimum) >= 0;

function parts(version: string): number[] {
  const texts = (version === "" ? oldestVersion : version).split(".");
  if (texts.length > 3 || !texts.every((text) => /^[0-9]+$/.test(text))) {
    throw new CniError({
      code: ErrorCode.decoding,
      msg: `"cniVersion" is ${JSON.stringify(version)}, must be one to three numbers separated by dots`,
      remedy: `use one of ${supportedVersions.join(", ")}`,
    });
  }
  return texts.map(Number);
}

/**
 * Returns the version in which a network is run: the highest of `cniVersions` (and `cniVersion`, when there is such a list) that is
 * not newer than ours; `cniVersion` unchanged when there is no list or every version in it is newer.
 *
 * @throws CniError 6: one of them is no version.
 */
export function selectVersion(cniVersion: string, cniVersions: readonly string[] | undefined): string {
  if (cniVersions === undefined) return cniVersion;
  const candidates = cniVersion === "" ? cniVersions : [...cniVersions, cniVersion];
  return (
    candidates
      .filter((version) => compareVersions(version, newestVersion) <= 0)
      .reduce((best, version) => (best === "" || compareVersions(version, best) > 0 ? version : best), "") || cniVersion
  );
}
