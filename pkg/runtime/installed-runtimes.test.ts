import t from "tap";
import { Errno, SystemError } from "../sys/errno.ts";
import { type Files, type InstalledRuntime, installedRuntimes } from "./installed-runtimes.ts";

/** A node with these files. */
function files(contents: Record<string, string>, unreadable = ""): Files {
  const paths = Object.keys(contents);
  const below = (directory: string) =>
    paths.filter((path) => path.startsWith(`${directory}/`)).map((path) => path.slice(directory.length + 1));
  return {
    exists: (path) => path in contents || below(path).length > 0,
    text(path) {
      if (path === unreadable) throw new SystemError("openat", Errno.EACCES, path);
      return contents[path];
    },
    names: (directory) => {
      const names = [...new Set(below(directory).map((name) => name.split("/")[0] ?? ""))].sort();
      return names.length === 0 ? undefined : names;
    },
  };
}

const found = (contents: Record<string, string>): [name: string, dirs: string, source: string, configDir: string][] =>
  installedRuntimes(files(contents)).runtimes.map(({ name, pluginDirs, source, configDir }) => [
    name,
    pluginDirs.join(":"),
    source,
    configDir,
  ]);

t.test("a node without runtimes has none", async (t) => {
  t.strictSame(installedRuntimes(files({ "/etc/hostname": "one" })), { runtimes: [], problems: [] });
});

const nodes: [what: string, contents: Record<string, string>, dirs: string, source: string, configDir: string][] = [
  ["containerd without a file", { "/usr/bin/containerd": "" }, "/opt/cni/bin", "its default", "/etc/cni/net.d"],
  [
    "containerd 1 of Debian",
    {
      "/usr/bin/containerd": "",
      "/etc/containerd/config.toml": '[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/cni"',
    },
    "/usr/lib/cni",
    "bin_dir in /etc/containerd/config.toml",
    "/etc/cni/net.d",
  ],
  [
    "containerd 2.1, with a file that it imports",
    {
      "/usr/local/bin/containerd": "",
      "/etc/containerd/config.toml":
        "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/opt/cni/bin']\nconf_dir = '/etc/net.d'",
      "/etc/containerd/conf.d/10-cni.toml": "[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/a', '/b']",
      "/etc/containerd/conf.d/10-cni.toml.before": "[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/not']",
    },
    "/a:/b",
    "bin_dirs in /etc/containerd/conf.d/10-cni.toml",
    "/etc/net.d",
  ],
  ["CRI-O without a file", { "/usr/bin/crio": "" }, "/opt/cni/bin", "its default", "/etc/cni/net.d"],
  [
    "CRI-O, of which the last file counts",
    {
      "/etc/crio/crio.conf": '[crio.network]\nplugin_dirs = ["/one"]\nnetwork_dir = "/etc/nets"',
      "/etc/crio/crio.conf.d/00-default": '[crio.network]\nplugin_dirs = ["/two", "/three"]',
    },
    "/two:/three",
    "plugin_dirs in /etc/crio/crio.conf.d/00-default",
    "/etc/nets",
  ],
  [
    "podman without a file",
    { "/usr/bin/podman": "" },
    "/usr/local/libexec/cni:/usr/libexec/cni:/usr/local/lib/cni:/usr/lib/cni:/opt/cni/bin",
    "its default",
    "/etc/cni/net.d",
  ],
  [
    "podman with netavark beside it, told to call plugins",
    {
      "/usr/bin/podman": "",
      "/usr/lib/podman/netavark": "",
      "/usr/share/containers/containers.conf": '[network]\ncni_plugin_dirs = ["/one"]',
      "/etc/containers/containers.conf.d/cni.conf": '[network]\nnetwork_backend = "cni"\ncni_plugin_dirs = ["/two"]',
    },
    "/two",
    "cni_plugin_dirs in /etc/containers/containers.conf.d/cni.conf",
    "/etc/cni/net.d",
  ],
  [
    "nerdctl on Debian, which takes the first directory that exists",
    { "/usr/local/bin/nerdctl": "", "/usr/lib/cni/bridge": "", "/usr/libexec/cni/bridge": "" },
    "/usr/libexec/cni",
    "its default",
    "/etc/cni/net.d",
  ],
  [
    "nerdctl with a file",
    { "/etc/nerdctl/nerdctl.toml": 'cni_path = "/x"\ncni_netconfpath = "/y"' },
    "/x",
    "cni_path in /etc/nerdctl/nerdctl.toml",
    "/y",
  ],
  [
    "k3s before its first start",
    { "/usr/local/bin/k3s": "" },
    "/var/lib/rancher/k3s/data/current/bin",
    "its default",
    "/var/lib/rancher/k3s/agent/etc/cni/net.d",
  ],
  [
    "k3s with what it has written",
    {
      "/var/lib/rancher/k3s/agent/etc/containerd/config.toml":
        '[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/var/lib/rancher/k3s/data/cni"\nconf_dir = "/k"',
    },
    "/var/lib/rancher/k3s/data/cni",
    "bin_dir in /var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/k",
  ],
  [
    "Nomad",
    { "/usr/bin/nomad": "", "/etc/nomad.d/client.hcl": 'client {\n  enabled = true\n  cni_path = "/n:/m"\n}' },
    "/n:/m",
    "cni_path in /etc/nomad.d/client.hcl",
    "/opt/cni/config",
  ],
];
for (const [what, contents, dirs, source, configDir] of nodes) {
  t.test(`${what}: where it looks for plugins`, async (t) => {
    t.strictSame(
      found(contents).map(([, ...rest]) => rest),
      [[dirs, source, configDir]],
    );
  });
}

const unused = (contents: Record<string, string>): Pick<InstalledRuntime, "pluginDirs" | "unused">[] =>
  installedRuntimes(files(contents)).runtimes.map(({ pluginDirs, unused = "" }) => ({ pluginDirs, unused }));

t.test("Docker, and podman with netavark, call no plugins", async (t) => {
  t.match(unused({ "/usr/bin/dockerd": "" }), [{ pluginDirs: [], unused: /network drivers of its own/ }]);
  for (const [source, contents] of [
    ["/usr/libexec/podman/netavark", { "/usr/libexec/podman/netavark": "" }],
    [
      "/var/lib/containers/storage/defaultNetworkBackend",
      { "/var/lib/containers/storage/defaultNetworkBackend": "netavark" },
    ],
    [
      "network_backend in /etc/containers/containers.conf",
      { "/etc/containers/containers.conf": '[network]\nnetwork_backend = "netavark"' },
    ],
  ] as const)
    t.match(unused({ "/usr/bin/podman": "", ...(contents as Record<string, string>) }), [
      { pluginDirs: [], unused: `its network backend is netavark (${source}), which calls no plugins` },
    ]);
});

t.test("several runtimes are all found", async (t) => {
  const both = found({ "/usr/bin/podman": "", "/usr/bin/containerd": "", "/usr/sbin/dockerd": "" });
  t.strictSame(
    both.map(([name]) => name),
    ["containerd", "podman", "Docker"],
  );
});

t.test("a file that cannot be read or understood is told, and the default is used", async (t) => {
  const path = "/etc/containerd/config.toml";
  const broken = { "/usr/bin/containerd": "", [path]: "bin_dir =" };
  t.match(installedRuntimes(files(broken)), {
    runtimes: [{ pluginDirs: ["/opt/cni/bin"], source: "its default" }],
    problems: [
      `${path} is not TOML: line 1: the end of the file where a value should be; what it says about plugins is not known`,
    ],
  });
  t.match(installedRuntimes(files(broken, path)).problems, [`${path} cannot be read: openat ${path}`]);
});
