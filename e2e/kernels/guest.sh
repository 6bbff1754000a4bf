# First process of the guest. Its root is the host's, shared read-only, under a layer of memory that takes what is
# written; only the results go to a share of their own.
results=/run/results
. $results/job # modules, node, busybox, program, args, lacking, turns
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /run/lock /mnt/tmp /lib/modules
mount -t tmpfs tmpfs /mnt/tmp # not below /run: some tests mount a folder of theirs there
mount --bind "$modules" /lib/modules
if [ -n "$turns" ]; then
  mkdir /run/turns
  mount -t 9p -o trans=virtio,version=9p2000.L turns /run/turns
fi
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/mnt/tmp TMPDIR=/mnt/tmp TWILL_LAB=1 TWILL_LACKING="$lacking" TAP_TIMEOUT=0
ip link set lo up
echo 1 > /proc/sys/net/core/fb_tunnels_only_for_init_net # a fresh namespace has lo alone, whatever module is loaded
uname -r > $results/kernel
"$node" "$program" $args > $results/printed 2> $results/errors
echo $? > $results/status
sync
"$busybox" poweroff -f
