/** Records the parameters of a call as text, in the reference plugin's format. */
import type { Attachment } from "../../pkg/cni/plugin.ts";
import { appendFile } from "../../pkg/sys/file.ts";
import { decode } from "../../pkg/sys/text.ts";

/** Appends the call to the file. @throws SystemError the file cannot be written */
export function recordCall(
  file: string,
  name: "CmdAdd" | "CmdDel" | "CmdCheck",
  attachment: Attachment<unknown>,
): void {
  const { containerId, netns = "", ifName, args, path, stdin } = attachment;
  const lines = [
    name,
    `ContainerID: ${containerId}`,
    `Netns: ${netns}`,
    `IfName: ${ifName}`,
    `Args: ${args}`,
    `Path: ${path.join(":")}`,
    `StdinData: ${decode(stdin)}`,
    "----------------------",
  ];
  appendFile(file, `${lines.join("\n")}\n`, { mode: 0o644 });
}
