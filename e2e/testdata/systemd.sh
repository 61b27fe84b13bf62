#!/bin/sh
# Starts systemd as process 1 of a PID namespace: systemd.sh DIR NAME, run by
# `unshare --pid --mount --ipc --uts --fork`. What the services and their administrator write goes to
# memory and is gone with the namespaces: /etc, /usr/local/bin and /var are the machine's with a
# layer over them. DIR is seen from both sides. The network is the machine's. None of the machine's
# units is started, because they would change the machine: the unit path has those of DIR/units alone.
set -e
dir=$1 name=$2

mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/dir /run/layers
mount --bind "$dir" /run/dir
for top in /etc /usr/local/bin /var; do
	layer=/run/layers$top
	mkdir -p "$layer/upper" "$layer/work"
	mount -t overlay -o "lowerdir=$top,upperdir=$layer/upper,workdir=$layer/work" overlay "$top"
done
for top in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$top"; done
mkdir -p "$dir"
mount --bind /run/dir "$dir"
# What services store is on a disk, and not part of the memory that they may use.
mkdir -p -m 700 /var/lib/private "$dir/state"
mount --bind "$dir/state" /var/lib/private
mount -t tmpfs -o mode=755 tmpfs /etc/systemd/system
cp "$dir"/units/* /etc/systemd/system/

# A control group of its own in each hierarchy, which its children see as the root: systemd mounts the
# hierarchies that it misses, and makes groups in all of them.
groups=/run/groups
mkdir "$groups"
join() { # MOUNTPOINT
	mkdir "$1/$name"
	echo 0 >"$1/$name/cgroup.procs"
}
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	join /sys/fs/cgroup
else
	for hierarchy in name=systemd $(awk '!/^#/ && $2 > 0 && $4 == 1 { print $1 }' /proc/cgroups); do
		mkdir "$groups/$hierarchy"
		case $hierarchy in
		name=*) mount -t cgroup -o "none,$hierarchy" cgroup "$groups/$hierarchy" ;;
		*) mount -t cgroup -o "$hierarchy" cgroup "$groups/$hierarchy" ;;
		esac
		if [ "$hierarchy" = cpuset ]; then # a group of it takes no process before it has these
			mkdir "$groups/cpuset/$name"
			for file in cpuset.cpus cpuset.mems; do cat "$groups/cpuset/$file" >"$groups/cpuset/$name/$file"; done
			echo 0 >"$groups/cpuset/$name/cgroup.procs"
		else
			join "$groups/$hierarchy"
		fi
	done
	mkdir "$groups/unified"
	if mount -t cgroup2 cgroup2 "$groups/unified"; then join "$groups/unified"; fi
fi
exec unshare --cgroup /bin/sh -c '
	set -e
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
	else
		umount -R /sys/fs/cgroup 2>/dev/null || true
		mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
		mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/memory
		mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
		mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory || rmdir /sys/fs/cgroup/memory
	fi
	for group in /run/groups/*; do umount "$group" 2>/dev/null || true; done
	exec env -i container=test PATH="$PATH" SYSTEMD_UNIT_PATH=/etc/systemd/system \
		/lib/systemd/systemd --system --unit=multi-user.target --show-status=no --log-target=console --log-level=notice'
