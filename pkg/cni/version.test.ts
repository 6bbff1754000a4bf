import t from "tap";
import { compareVersions, selectVersion, versionFamilyOf } from "./version.ts";

for (const [one, other, order] of [
  ["1.0.0", "1.0.0", 0],
  ["1.0", "1.0.0", 0],
  ["1", "1.0.0", 0],
  ["", "0.1.0", 0],
  ["0.4.0", "0.3.1", 1],
  ["0.3.1", "0.10.0", -1],
  ["2", "1.9.9", 1],
] as const) {
  t.test(`compareVersions: ${one || "nothing"} against ${other}`, async (t) => {
    t.equal(Math.sign(compareVersions(one, other)), order);
    t.equal(Math.sign(compareVersions(other, one)), order === 0 ? 0 : -order);
  });
}

for (const version of ["1.0.0.0", "1.0.0-rc1", "one", "1..0", "1.", " 1.0.0"]) {
  t.test(`compareVersions: ${JSON.stringify(version)} is none`, async (t) => {
    t.throws(() => compareVersions(version, "1.0.0"), {
      code: 6,
      msg: `"cniVersion" is ${JSON.stringify(version)}, must be one to three numbers separated by dots`,
    });
  });
}

t.test("versionFamilyOf: an empty version is 0.1.0, a future one has no family", async (t) => {
  t.equal(versionFamilyOf(""), versionFamilyOf("0.2.0"));
  t.not(versionFamilyOf("0.4.0"), versionFamilyOf("1.0.0"));
  t.equal(versionFamilyOf("1.2.0"), undefined);
});

const selections: [what: string, cniVersion: string, cniVersions: string[] | undefined, selected: string][] = [
  ["without a list cniVersion is taken as it is", "9.9.9", undefined, "9.9.9"],
  ["without both it stays empty", "", undefined, ""],
  ["of a list the highest is taken", "0.3.1", ["0.3.0", "0.4.0", "0.3.1"], "0.4.0"],
  ["what is newer than 1.1.0 is left out", "0.4.0", ["0.4.0", "1.1.0", "1.2.0"], "1.1.0"],
  ["cniVersion is one of the candidates", "1.0.0", ["0.4.0"], "1.0.0"],
  ["a too new cniVersion is none", "2.0.0", ["0.4.0"], "0.4.0"],
  ["when nothing is left cniVersion stays", "2.0.0", ["3.0.0"], "2.0.0"],
  ["an empty list changes nothing", "0.4.0", [], "0.4.0"],
];
for (const [what, cniVersion, cniVersions, selected] of selections) {
  t.test(`selectVersion: ${what}`, async (t) => {
    t.equal(selectVersion(cniVersion, cniVersions), selected);
  });
}

t.test("selectVersion: an entry that is no version is an error", async (t) => {
  t.throws(() => selectVersion("1.0.0", ["0.4.0", "next"]), { code: 6 });
});
