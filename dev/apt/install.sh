# Runs apt-get with the given arguments, as root; no service is started or enabled by it. Usage: install.sh ARGUMENTS
#
# Starting: maintainer scripts find our invoke-rc.d and deb-systemd-invoke, which do nothing. A policy-rc.d would do the same,
# but it is a file of the machine's, and stays there when this is killed.
# Enabling is done by links below /etc/systemd/system and /etc/rc?.d, with and without a running init: links that were not there before
# are removed, as `systemctl disable` does, so that upgrades of the package do not enable it either.
folder=$(cd "$(dirname "$0")" && pwd)

unit_links() { find /etc/systemd/system -type l 2>/dev/null | sort; }
init_scripts() { find /etc/rc[S2345].d -name 'S*' 2>/dev/null | sed 's|.*/S[0-9]*||' | sort -u; }

# What is listed now, and was not in the text $1.
new_in() { while read -r line; do printf '%s\n' "$1" | grep -qxF "$line" || printf '%s\n' "$line"; done; }

disable_new() {
  unit_links | new_in "$units_before" | while read -r link; do
    rm -f "$link" && echo "setup: not enabled: ${link##*/}"
  done
  init_scripts | new_in "$scripts_before" | while read -r name; do
    update-rc.d "$name" disable >/dev/null 2>&1 && echo "setup: not enabled: /etc/init.d/$name"
  done
}

units_before=$(unit_links)
scripts_before=$(init_scripts)
trap : HUP INT TERM # apt-get ends by them; what it has enabled by then is disabled all the same
DEBIAN_FRONTEND=noninteractive apt-get -o "DPkg::Path=$folder:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
status=$?
disable_new
exit $status
