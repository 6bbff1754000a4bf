// cmd/*/netconf.ts -> dist/validate/<name>.js: the schema of each configuration, and ajv's code for it, so that no plugin
// compiles anything while it runs.
//
// The generated modules import what they need (two files of pkg/cni, ajv's few runtime functions); the bundler of the program and
// tsx in the tests resolve that. Usage: node dev/compile-schemas.mjs
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { _, Ajv } from "ajv";
import standaloneCode from "ajv/dist/standalone/index.js";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, "dist/validate");

/** @returns what was made, for people: "3 schemas" */
export async function compileSchemas() {
  const names = readdirSync(join(root, "cmd")).filter((name) => existsSync(join(root, "cmd", name, "netconf.ts")));
  mkdirSync(target, { recursive: true });
  const sources = await bundled(names);
  const stamp = stampOf(sources);
  const files = [ALL, ...names.map((name) => `${name}.js`)].map((name) => join(target, name));
  if (files.every(existsSync) && readFileSync(files[0], "utf8").startsWith(stamp)) return "unchanged";
  const { formats, schemas } = await evaluated(sources);
  const newAjv = () =>
    new Ajv({
      allErrors: true,
      strict: true,
      allowUnionTypes: true,
      inlineRefs: false,
      messages: false, // pkg/cni/netconf.ts has better ones
      code: { source: true, esm: true, lines: true, formats: _`formats` },
      formats: Object.fromEntries(Object.entries(formats).map(([name, { fits }]) => [name, fits])),
    });
  const shared = sharedParts(schemas);
  const code = codeOf(schemas, shared, newAjv);
  replace(
    join(target, ALL),
    stamp +
      module(
        code,
        names.map((name) => schemas[name]),
      ),
  );
  names.forEach((name, i) => {
    replace(join(target, `${name}.js`), `export { plugin${i} as validate } from "./${ALL}";\n`);
  });
  for (const file of readdirSync(target)) if (!files.includes(join(target, file))) rmSync(join(target, file));
  return `${names.length} schemas, ${shared.size} parts in common`;
}

/** The first line of what was made of these sources by this file and these packages. */
function stampOf(sources) {
  const hash = createHash("sha256").update(sources);
  for (const file of [fileURLToPath(import.meta.url), join(root, "package-lock.json")]) hash.update(readFileSync(file));
  return `// made of ${hash.digest("hex")}\n`;
}

/** ajv's code for all schemas. @throws Error that names the file and line of a mistake */
function codeOf(schemas, shared, newAjv) {
  const names = Object.keys(schemas);
  const ajv = newAjv();
  try {
    ajv.addSchema({
      $id: SHARED,
      $defs: Object.fromEntries([...shared].map(([text, name]) => [name, JSON.parse(text)])),
    });
    for (const name of names)
      ajv.addSchema({ $id: name, ...withReferences(withoutPeoplesPart(schemas[name]), shared) });
    return standaloneCode(ajv, Object.fromEntries(names.map((name, i) => [`check${i}`, name])));
  } catch (error) {
    for (const name of names) compileAlone(newAjv(), name, schemas[name]); // says whose mistake it is
    throw error;
  }
}

function compileAlone(ajv, name, schema) {
  try {
    ajv.compile(withoutPeoplesPart(schema));
  } catch (error) {
    const [message] = error.message.split(", "); // for a part in common, it comes once for each
    throw new Error(`${placeOf(join("cmd", name, "netconf.ts"), message)}: ${message}`);
  }
}

/** The line of what ajv names: a key, or the last one of a path, of which each is behind the one before. */
function placeOf(file, message) {
  const lines = readFileSync(join(root, file), "utf8").split("\n");
  const [, path, keyword = ""] =
    /(?:#|data)(\/[\w/-]+)|"(\w+)"/.exec(message.replace(/^unknown format "\w+"/, "")) ?? [];
  let at = -1;
  for (const key of path?.split("/").slice(1) ?? [keyword]) {
    const isKey = new RegExp(`(^|[\\s{,])"?${key}"?: `);
    const next = lines.findIndex((line, i) => i >= at && isKey.test(line));
    if (next >= 0) at = next;
  }
  return at < 0 ? file : `${file}:${at + 1}`;
}

/** Names of the schema and the module that hold what configurations have in common. */
const SHARED = "shared";
const ALL = "_all.js";
/** What the schemas are read from, while they are. */
const LOADED = `_loaded-${process.pid}.mjs`;
/** A part that is shorter, as JSON, is checked by fewer bytes than a call. */
const SHORTEST_SHARED = 70;

/**
 * Parts that stand in several places: one function each, instead of the same code over and over, which was most of the program.
 * By their JSON without what is for people; a choice (anyOf) stays as it is, since its errors are told by where they stand.
 */
function sharedParts(schemas) {
  const counts = new Map();
  const visit = (schema) => {
    for (const part of partsOf(schema)) {
      const text = JSON.stringify(withoutPeoplesPart(part));
      if (text.length >= SHORTEST_SHARED) {
        counts.set(text, (counts.get(text) ?? 0) + 1);
      }
      visit(part);
    }
  };
  for (const schema of Object.values(schemas)) visit(schema);
  const shared = [...counts.keys()].filter((text) => counts.get(text) > 1);
  return new Map(shared.map((text, i) => [text, `part${i}`]));
}

/** The schemas right below a schema. */
const partsOf = ({ properties = {}, items, additionalProperties }) => [
  ...Object.values(properties),
  ...[items, additionalProperties].filter((part) => typeof part === "object"),
];

/** The schema with a reference wherever a shared part stands below it. */
function withReferences(schema, shared) {
  const referred = (part) => {
    const found = typeof part === "object" ? shared.get(JSON.stringify(part)) : undefined;
    return found === undefined ? withReferences(part, shared) : { $ref: `${SHARED}#/$defs/${found}` };
  };
  if (typeof schema !== "object") return schema;
  const { properties, items, additionalProperties, ...rest } = schema;
  return {
    ...rest,
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([key, part]) => [key, referred(part)])),
    }),
    ...(items && { items: referred(items) }),
    ...(additionalProperties !== undefined && { additionalProperties: referred(additionalProperties) }),
  };
}

/** A script with the schemas and our formats, out of TypeScript. */
async function bundled(names) {
  const lines = [
    `export { formats } from "./pkg/config/formats.ts";`,
    ...names.map((name, i) => `import { schema as s${i} } from "./cmd/${name}/netconf.ts";`),
    `export const schemas = { ${names.map((name, i) => `${JSON.stringify(name)}: s${i}`).join(", ")} };`,
  ];
  const { outputFiles } = await build({
    stdin: { contents: lines.join("\n"), resolveDir: root },
    bundle: true,
    write: false,
    format: "esm",
    platform: "node", // backends of flanneld, of whose keys the schema consists, may import Node's modules
    plugins: [noMachine],
    logLevel: "silent",
    sourcemap: "inline",
    outfile: join(target, LOADED),
  });
  return outputFiles[0].text;
}

/** From a file, for as long as it takes: of a script in a data: URL, Node prints all of it where it throws. @throws Error with the place in the source */
async function evaluated(script) {
  const file = join(target, LOADED);
  writeFileSync(file, script);
  process.setSourceMapsEnabled(true);
  try {
    return await import(`${pathToFileURL(file)}?${Date.now()}`);
  } catch (error) {
    const place = /\((?:file:\/\/)?(\/[^)]*\.ts:\d+:\d+)\)|at (?:file:\/\/)?(\/\S*\.ts:\d+:\d+)/.exec(
      error.stack ?? "",
    );
    const where = place ? relative(root, place[1] ?? place[2]) : "cmd/*/netconf.ts";
    throw new Error(`${where}: ${error.message}`);
  } finally {
    process.setSourceMapsEnabled(false);
    rmSync(file, { force: true });
  }
}

/** A netconf.ts imports code beside its schema; none of it is called here, so it needs no system calls. */
const noMachine = {
  name: "no-machine",
  setup(build) {
    build.onResolve({ filter: /^(#native|koffi)$/ }, () => ({ path: "native", namespace: "no-machine" }));
    build.onLoad({ filter: /.*/, namespace: "no-machine" }, () => ({
      contents: `export const native = { arch: "x64" };
                 const anything = new Proxy(() => {}, { get: () => anything, apply: () => anything });
                 export default anything;`,
    }));
  },
};

/** What ajv has to check. Unknown keys are no errors; descriptions are not for programs. */
function withoutPeoplesPart(schema) {
  if (Array.isArray(schema)) return schema.map(withoutPeoplesPart);
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => !(key === "additionalProperties" && value === false))
      .filter(([key, value]) => !((key === "description" || key === "title") && typeof value === "string"))
      .map(([key, value]) => [key, withoutPeoplesPart(value)]),
  );
}

/**
 * The text of the module with all checks. ajv writes `require` calls into its ECMAScript modules; here they are imports. A schema is
 * a text, parsed when an error is explained: as an object it would be six times as large in the executable.
 */
function module(code, schemas) {
  const imports = [
    `import { checks as formats } from "../../pkg/config/formats.ts";`,
    `import { shapeOf } from "../../pkg/config/shape.ts";`,
  ];
  const body = compact(code).replaceAll(/require\("(ajv\/[^"]+)"\)/g, (_call, path) => {
    const name = `runtime${imports.length}`;
    imports.push(`import ${name} from "${path}.js";`);
    return name;
  });
  const texts = [
    ...imports,
    "const members = new Map();",
    "function added(errors, instancePath, keyword, params) {",
    "const list = errors ?? [];",
    "list.push({ instancePath, keyword, params });",
    "return list;",
    "}",
    body.replace(/^"use strict";\n/, "").replaceAll(/^export const (check\d+) = (\w+);$/gm, "const $1 = $2;"),
    ...schemas.map((schema, i) => {
      return `const schema${i}Of = () => JSON.parse(${JSON.stringify(JSON.stringify(schema))});
export const plugin${i} = { schema: schema${i}Of, shape: /* @__PURE__ */ shapeOf(/* @__PURE__ */ schema${i}Of(), members), check: check${i} };`;
    }),
  ];
  return `${texts.join("\n")}\n`;
}

/** ajv's code without what only makes it larger: parameters that no keyword of ours reads, and seven lines for each error that is added. */
function compact(code) {
  const schemas = Object.fromEntries(
    [...code.matchAll(/^const (schema\d+) = (\{.*\});$/gm)].map(([, name, text]) => [name, JSON.parse(text)]),
  );
  return code
    .replaceAll(
      /const (err\d+) = (\{.*\});\nif\(vErrors === null\)\{\nvErrors = \[\1\];\n\}\nelse \{\nvErrors\.push\(\1\);\n\}\nerrors\+\+;/g,
      "(vErrors ??= []).push($2);\nerrors++;",
    )
    .replaceAll(/,schemaPath:"(?:(?!anyOf|oneOf)[^"])*"/g, "") // only the branches of a choice are told by it
    .replaceAll(
      /\(vErrors \?\?= \[\]\)\.push\(\{instancePath:?((?:(?!,schemaPath).)*?),keyword:("\w+"),params:(.*)\}\);\n/g,
      (_, path, keyword, params) => `vErrors = added(vErrors, ${path || "instancePath"}, ${keyword}, ${params});\n`,
    )
    .replaceAll(/\{instancePath="", parentData, parentDataProperty, rootData=data\}/g, '{instancePath=""}')
    .replaceAll(/,parentData:[^,{}]+,parentDataProperty:[^,{}]+,rootData\}/g, "}")
    .replaceAll(/(schema\d+)((?:\.\w+)+)\}/g, (_expression, name, path) => {
      const values = path
        .slice(1)
        .split(".")
        .reduce((part, key) => part[key], schemas[name]);
      return `${JSON.stringify(values)}}`;
    });
}

/** Writes only what has changed, so that nobody who watches the file builds again for nothing. */
function replace(file, text) {
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  writeFileSync(file, text);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.log(await compileSchemas());
