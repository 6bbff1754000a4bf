import t from "tap";
import { fakeStreams } from "../cni/fake.testing.ts";
import type { Command, CommandSet } from "./command.ts";
import { completionScript, completionsOf } from "./completion.ts";

const command = (name: string, more: Partial<Command> = {}): Command => ({
  name,
  operands: "",
  required: 0,
  most: 9,
  about: "",
  details: "",
  flags: [],
  examples: [],
  run: () => 0,
  ...more,
});

const tool: CommandSet = {
  name: "tool",
  commands: [
    command("add", {
      aliases: ["attach"],
      flags: [
        { name: "color", short: "c", value: "COLOR", about: "", complete: () => ["red", "green"] },
        { name: "file", value: "FILE", about: "" },
        { name: "dry-run", about: "" },
      ],
      complete: (operands) => (operands.length === 0 ? ["net", "other", "not safe", "$(id)"] : [`after-${operands}`]),
    }),
    command("list"),
  ],
};

const context = { version: "", plugins: {}, streams: fakeStreams({}) };

for (const [words, expected] of [
  [[""], ["add", "list"]],
  [["l"], ["list"]],
  [["-"], ["--help"]],
  [
    ["nothing", ""],
    ["add", "list"],
  ],
  [["list", ""], []],
  [["list", "--"], ["--help"]],
  [["add", "--d"], ["--dry-run"]],
  [
    ["add", ""],
    ["net", "other"],
  ],
  [["attach", "o"], ["other"]],
  [["add", "--dry-run", "n"], ["net"]],
  [["--dry-run", "add", "n"], ["net"]],
  [
    ["add", "--color", ""],
    ["red", "green"],
  ],
  [["add", "-c", "g"], ["green"]],
  [["add", "--file", ""], []],
  [["add", "--color", "red", "n"], ["net"]],
  [["add", "net", ""], ["after-net"]],
  [["add", "-c", "red", "net", "a"], ["after-net"]],
  [[], ["add", "list"]],
] as const)
  t.test(`tool ${words.join(" ")}| may become ${expected.join(", ") || "a file"}`, async (t) => {
    t.strictSame(completionsOf(words, tool, context), expected);
  });

t.test("the script of an unknown shell is refused with those that exist", async (t) => {
  t.throws(() => completionScript("tcsh", "tool"), { message: /"tcsh".*bash, zsh, fish/s });
});
