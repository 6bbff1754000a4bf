// Every key of every plugin's configuration, once with a value of each wrong type: code 7 with the key's path, or it did not
// pay to write a schema. Reads the compiled schemas (dist/validate), so it sees each plugin there is.
import { readdirSync } from "node:fs";
import t from "tap";
import { problemsOf } from "../pkg/cni/netconf.ts";
import type { Validate } from "../pkg/cni/plugin.ts";
import { isObject, type Json, type JsonPath, showJson, showPath } from "../pkg/config/json.ts";
import type { JsonSchema } from "../pkg/config/schema.ts";

const values: Record<string, Json> = { string: "x", number: 1.5, boolean: true, array: [], object: {} };

/** All places of a schema that say which types they take, with these. */
function typedPlaces(schema: JsonSchema, path: JsonPath = []): { path: JsonPath; types: string[] }[] {
  const own = schema.type === undefined || path.length === 0 ? [] : [{ path, types: [schema.type].flat().map(String) }];
  const inside = Object.entries(schema.properties ?? {}).flatMap(([key, property]) =>
    typedPlaces(property as JsonSchema, [...path, key]),
  );
  const items = schema.items === undefined ? [] : typedPlaces(schema.items as JsonSchema, [...path, 0]);
  const values =
    typeof schema.additionalProperties === "object"
      ? typedPlaces(schema.additionalProperties as JsonSchema, [...path, "any"])
      : [];
  return [...own, ...inside, ...items, ...values];
}

/** A configuration that has nothing but the value at that place. */
const holding = (value: Json, path: JsonPath): Json =>
  path.reduceRight<Json>((inner, step) => (typeof step === "number" ? [inner] : { [step]: inner }), value);

const files = readdirSync(new URL("../dist/validate", import.meta.url)).filter((file) => /^[^_].*\.js$/.test(file));

t.ok(files.length > 0, "sees the schemas");
for (const file of files) {
  t.test(`${file.replace(".js", "")}: every key refuses values of other types, and says where`, async (t) => {
    const { validate } = (await import(`../dist/validate/${file}`)) as { validate: Validate };
    const places = typedPlaces(validate.schema());
    t.ok(places.length > 10, `sees ${places.length} keys`);
    for (const { path, types } of places) {
      for (const [type, value] of Object.entries(values)) {
        if (types.includes(type)) continue;
        const document = holding(value, path);
        const problems = problemsOf(isObject(document) ? { type: "x", ...document } : document, validate);
        const own = problems.find((problem) => showPath(problem.path) === showPath(path));
        const [subject, allowed] = own?.text.split(", must be ") ?? [];
        t.equal(subject, `"${showPath(path)}" is ${showJson(value)}`, `${type} at ${showPath(path)}`);
        t.ok(allowed, `${type} at ${showPath(path)}: what is allowed`);
      }
    }
  });
}

for (const file of files.filter((name) => name !== "cnitool.js")) {
  t.test(`${file.replace(".js", "")}: no key is demanded that the plugin may not read`, async (t) => {
    const { validate } = (await import(`../dist/validate/${file}`)) as { validate: Validate };
    t.strictSame(problemsOf({}, validate), []);
  });
}
