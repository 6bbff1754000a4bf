// Tells what setups of twill before this one may have left on a machine: they installed etcd, firewalld and udhcpd, which Debian
// enables, and an interrupted one left a policy-rc.d. Somebody else may have wanted them: they are told of, not changed.
//
//   node dev/earlier-setup.mjs [ROOT]
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [root = "/"] = process.argv.slice(2);

/** Each with its Debian package. */
const services = { etcd: "etcd-server", firewalld: "firewalld", udhcpd: "udhcpd" };
const interrupted = "#!/bin/sh\nexit 101\n";

const units = Object.keys(services).filter(hasUnit);
const scripts = Object.keys(services).filter(hasInitScript);
const enabled = Object.keys(services).filter((name) => units.includes(name) || scripts.includes(name));
if (enabled.length > 0) {
  const packages = enabled.map((name) => services[name]).join(" ");
  const commands = [
    ...(units.length > 0 ? [`systemctl disable ${units.join(" ")}`] : []),
    ...scripts.map((name) => `update-rc.d ${name} disable`),
  ];
  console.log(`setup: ${enabled.join(", ")}: enabled here, so started when the machine starts. An earlier build's setup may have done
  that; this one does not need them. Unless you do: ${commands.join(" && ")}
  or remove them: apt-get purge ${packages}`);
}
if (textOf("usr/sbin/policy-rc.d") === interrupted) {
  console.log(`setup: /usr/sbin/policy-rc.d keeps packages from starting their services. An earlier build's setup left such a file when it
  was interrupted. Unless it is yours: rm /usr/sbin/policy-rc.d`);
}

function hasUnit(name) {
  return namesIn("etc/systemd/system/multi-user.target.wants").includes(`${name}.service`);
}

function hasInitScript(name) {
  return ["2", "3", "4", "5"].some((level) =>
    namesIn(`etc/rc${level}.d`).some((link) => /^S\d+(.*)/.exec(link)?.[1] === name),
  );
}

function namesIn(folder) {
  return existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : [];
}

function textOf(file) {
  return existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : undefined;
}
