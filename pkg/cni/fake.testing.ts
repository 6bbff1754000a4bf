/** Test doubles: a schema compiled on the spot, a plugin that records its calls, streams in memory. */
import { Ajv } from "ajv";
import { checks } from "../config/formats.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../config/schema.ts";
import { shapeOf } from "../config/shape.ts";
import { encode } from "../sys/text.ts";
import type { AnyPlugin, Plugin, Validate } from "./plugin.ts";
import type { Streams } from "./process-io.ts";
import type { Result } from "./result.ts";

/** Compiles a test's schema as dev/compile-schemas.mjs does. */
export function compiled(schema: JsonSchema): Validate {
  const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, messages: false, formats: { ...checks } });
  const open = JSON.parse(
    JSON.stringify(schema, (key, value) => (key === "additionalProperties" && value === false ? undefined : value)),
  );
  return { schema: () => schema, shape: shapeOf(schema), check: ajv.compile(open) as Validate["check"] };
}

export const fakeSchema = {
  type: "object",
  properties: {
    ...netconfProperties,
    mtu: { type: "integer", minimum: 0, maximum: 65535 },
    isGateway: { type: "boolean" },
    mode: { enum: ["bridge", "vepa", "private"] },
    mac: { type: "string", format: "mac" },
    ranges: {
      type: "array",
      items: {
        type: "array",
        items: {
          type: "object",
          properties: {
            subnet: { type: "string", format: "cidr", description: "the pool, as 10.1.0.0/16" },
            weight: { type: "integer", minimum: 0 },
          },
          required: ["subnet"],
          additionalProperties: false,
        },
      },
    },
    limit: { type: ["integer", "string"] },
    owner: { anyOf: [{ type: "integer", minimum: 0 }, { type: "boolean" }] },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;
export type FakeConf = FromSchema<typeof fakeSchema>;
export const validateFake = compiled(fakeSchema);

export interface FakePlugin extends Plugin<FakeConf> {
  /** Each call's verb and the handler's argument, in order. */
  calls: { verb: string; given: Record<string, unknown> }[];
}

export const oneAddress: Result = {
  interfaces: [{ name: "eth0", sandbox: "/run/netns/one" }],
  ips: [{ interface: 0, address: "10.1.2.3/24", gateway: "10.1.2.1" }],
  routes: [{ dst: "0.0.0.0/0" }],
};

/** Answers ADD with `result`, or fails every verb with `failure`. */
export function fakePlugin({
  result = oneAddress,
  failure,
  ...rest
}: { result?: Result; failure?: unknown } & Partial<Pick<AnyPlugin, "name" | "versions">> = {}): FakePlugin {
  const calls: FakePlugin["calls"] = [];
  const note = (verb: string, given: object): void => {
    calls.push({ verb, given: { ...given } });
    if (failure !== undefined) throw failure;
  };
  return {
    name: "fake",
    about: "does nothing",
    validate: validateFake,
    calls,
    add(attachment) {
      note("ADD", attachment);
      return result;
    },
    del: (attachment) => note("DEL", attachment),
    check: (attachment) => note("CHECK", attachment),
    gc: (gc) => note("GC", gc),
    status: (request) => note("STATUS", request),
    ...rest,
  };
}

export interface FakeStreams extends Streams {
  /** The text written so far. */
  written: { stdout: string; stderr: string };
  /** Whether stdin was read. */
  stdinWasRead: boolean;
}

export function fakeStreams(environment: Record<string, string>, stdin: string | (() => Uint8Array) = ""): FakeStreams {
  const streams: FakeStreams = {
    environment,
    program: "/opt/cni/bin/fake",
    written: { stdout: "", stderr: "" },
    stdinWasRead: false,
    stdin() {
      streams.stdinWasRead = true;
      return typeof stdin === "string" ? encode(stdin) : stdin();
    },
    stdout(text) {
      streams.written.stdout += text;
    },
    stderr(text) {
      streams.written.stderr += text;
    },
  };
  return streams;
}
