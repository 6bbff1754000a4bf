# First process of the guest. Its root is the host's, shared read-only, under a layer of memory that takes what is
# written; only the results go to a share of their own.
results=/run/results
. $results/job # modules, node, busybox, tests, lacking
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /run/lock /run/tmp /lib/modules
mount --bind "$modules" /lib/modules
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/tmp TMPDIR=/run/tmp TWILL_LAB=1 TWILL_LACKING="$lacking" TAP_TIMEOUT=0
ip link set lo up
uname -r > $results/kernel
"$node" "$tests" > $results/tap 2> $results/errors
echo $? > $results/status
sync
"$busybox" poweroff -f
