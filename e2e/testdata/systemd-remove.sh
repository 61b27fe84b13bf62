#!/bin/sh
# Removes the control groups that systemd.sh NAME made: systemd-remove.sh NAME, run by `unshare --mount`
# when all processes in them have ended.
name=$1
groups=$(mktemp -d)
mount -t tmpfs tmpfs "$groups"
for hierarchy in name=systemd $(awk '!/^#/ && $2 > 0 && $4 == 1 { print $1 }' /proc/cgroups) unified; do
	mkdir "$groups/$hierarchy"
	case $hierarchy in
	name=*) mount -t cgroup -o "none,$hierarchy" cgroup "$groups/$hierarchy" ;;
	unified) mount -t cgroup2 cgroup2 "$groups/$hierarchy" ;;
	*) mount -t cgroup -o "$hierarchy" cgroup "$groups/$hierarchy" ;;
	esac 2>/dev/null || continue
	[ ! -d "$groups/$hierarchy/$name" ] || find "$groups/$hierarchy/$name" -depth -type d -exec rmdir {} +
done
umount -R "$groups"
rmdir "$groups"
