/** debug: records the calls of a list's plugins, and runs commands in the container's namespace. */
import { validate } from "#validate/debug";
import type { Attachment, Plugin } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import { runHooks } from "./hooks.ts";
import type { DebugConf } from "./netconf.ts";
import { recordCall } from "./record.ts";

export const debug: Plugin<DebugConf> = {
  name: "debug",
  about: "records the calls that plugins of a network get, and runs commands in the container's namespace",
  validate,
  add,
  del,
  check,
  gc() {}, // the file is kept for the administrator
  status() {}, // needs nothing
};

const nothing: Result = { interfaces: [], ips: [], routes: [] };

function add(attachment: Attachment<DebugConf>): Result {
  const { conf, netns, prevResult } = attachment;
  if (conf.cniOutput) recordCall(conf.cniOutput, "CmdAdd", attachment);
  runHooks(conf.addHooks ?? [], netns);
  return prevResult ?? nothing;
}

function del(attachment: Attachment<DebugConf>): void {
  const { conf, netns } = attachment;
  try {
    if (conf.cniOutput) recordCall(conf.cniOutput, "CmdDel", attachment);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    writeStderr(`debug: ${error.message}\n`); // must not prevent the DEL
  }
  runHooks(conf.delHooks ?? [], netns);
}

function check(attachment: Attachment<DebugConf>): void {
  const { conf, netns } = attachment;
  if (conf.cniOutput) recordCall(conf.cniOutput, "CmdCheck", attachment);
  runHooks(conf.checkHooks ?? [], netns);
}
