/**
 * As much of tap as synchronous unit tests need, for the plugins' engine, which has neither Node nor a job queue to wait
 * for. Prints TAP; `host.start` is the entry that native/host.c calls.
 */

import { writeAll } from "../../pkg/sys/file.ts";
import { standardOutput } from "../../pkg/sys/process.ts";
import { stackTrace } from "../../pkg/sys/stack-trace.ts";
import { encode } from "../../pkg/sys/text.ts";

declare const host: { start: () => number };

type Body = (t: Test) => unknown;
type Options = { skip?: boolean | string };

const tests: { name: string; body: Body; options: Options }[] = [];
const teardowns: (() => void)[] = [];

class Test {
  failures: string[] = [];
  assertions = 0;

  test(name: string, ...rest: [Body] | [Options, Body]): void {
    const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest;
    tests.push({ name, body, options });
  }
  teardown(work: () => void): void {
    teardowns.push(work);
  }
  end(): void {}
  ok(value: unknown, message = "should be true"): void {
    this.note(Boolean(value), message, value, true);
  }
  notOk(value: unknown, message = "should be false"): void {
    this.note(!value, message, value, false);
  }
  equal(found: unknown, wanted: unknown, message = "should be equal"): void {
    this.note(Object.is(found, wanted), message, found, wanted);
  }
  not(found: unknown, unwanted: unknown, message = "should differ"): void {
    this.note(!Object.is(found, unwanted), message, found, unwanted);
  }
  strictSame(found: unknown, wanted: unknown, message = "should be the same"): void {
    this.note(text(found) === text(wanted), message, found, wanted);
  }
  same(found: unknown, wanted: unknown, message = "should be the same"): void {
    this.strictSame(found, wanted, message);
  }
  match(found: unknown, pattern: unknown, message = "should match"): void {
    this.note(matches(found, pattern), message, found, pattern);
  }
  notMatch(found: unknown, pattern: unknown, message = "should not match"): void {
    this.note(!matches(found, pattern), message, found, pattern);
  }
  pass(message = "passes"): void {
    this.note(true, message, "", "");
  }
  fail(message = "fails"): void {
    this.note(false, message, "got here", "not to");
  }
  comment(): void {}
  throws(work: () => unknown, pattern?: unknown, message = "should throw"): void {
    try {
      work();
    } catch (error) {
      this.note(typeof pattern !== "object" || matches(error, pattern), message, error, pattern);
      return;
    }
    this.note(false, message, "nothing thrown", "an error");
  }
  doesNotThrow(work: () => unknown, message = "should not throw"): void {
    try {
      work();
    } catch (error) {
      this.note(false, message, error, "nothing thrown");
      return;
    }
    this.note(true, message, "", "");
  }
  private note(good: boolean, message: string, found: unknown, wanted: unknown): void {
    this.assertions++;
    if (!good)
      this.failures.push(`${message}: found ${text(found)}, wanted ${text(wanted)}\n${stackTrace(new Error())}`);
  }
}

/** As tap's: a text in a text, an expression on a text, a class of an object or the class itself, all members of an object. */
function matches(found: unknown, pattern: unknown): boolean {
  if (pattern instanceof RegExp) return pattern.test(String(found));
  if (typeof pattern === "string") return typeof found === "string" && found.includes(pattern);
  if (typeof pattern === "function")
    return found === pattern || found instanceof (pattern as unknown as new () => unknown);
  if (typeof pattern !== "object" || pattern === null) return Object.is(found, pattern);
  if (typeof found !== "object" || found === null) return false;
  if (pattern instanceof Error) return matches((found as Error).message, pattern.message);
  return Object.entries(pattern).every(([key, value]) => matches((found as Record<string, unknown>)[key], value));
}

/** A value as text: equal texts, same values. JSON knows neither bytes nor bigint nor undefined. */
function text(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes ${Array.from(value).join(" ")}`;
  if (value instanceof RegExp || value instanceof Error) return String(value);
  if (Array.isArray(value)) return `[${value.map(text).join(", ")}]`;
  if (value instanceof Map || value instanceof Set) return text([...value]);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null)
    return typeof value === "string" ? JSON.stringify(value) : String(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${key}: ${text((value as Record<string, unknown>)[key])}`).join(", ")}}`;
}

function print(line: string): void {
  writeAll(standardOutput, encode(`${line}\n`));
}

/** Test files register their tests while the program is frozen; they run when it is started. */
host.start = () => {
  let failed = 0;
  tests.forEach(({ name, body, options }, i) => {
    const t = new Test();
    if (!options.skip) run(t, body);
    if (!options.skip && t.assertions === 0) t.failures.push("asserts nothing");
    if (t.failures.length > 0) failed++;
    print(
      `${t.failures.length > 0 ? "not ok" : "ok"} ${i + 1} - ${name}${options.skip ? ` # SKIP ${options.skip}` : ""}`,
    );
    for (const failure of t.failures) print(failure.replace(/^/gm, "# "));
  });
  for (const teardown of teardowns.reverse()) {
    try {
      teardown();
    } catch (error) {
      failed++; // the others are to be done all the same
      print(`# teardown: ${error}`);
    }
  }
  print(`1..${tests.length}`);
  return failed > 0 ? 1 : 0;
};

function run(t: Test, body: Body): void {
  try {
    if (body(t) instanceof Promise) t.failures.push("is async: there is nothing here that could wait for it");
  } catch (error) {
    t.failures.push(`${error}\n${stackTrace(error as Error)}`);
  }
}

const root = new Test();
export default root;
