#!/bin/sh
# Makes the mounts of the fixture in namespaces of its own and becomes its init: enter.sh ROOT FLAVOUR
# Run by busybox of the host, which is the only program that is in the root, too.
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mkdir -p proc dev tmp mnt/small mnt/plain mnt/twice run sys
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t tmpfs -o size=64k,mode=755,nosuid devices dev
mount -t tmpfs -o size=1m,mode=1777,nosuid,noexec small mnt/small
mount -t tmpfs -o size=4m,ro plain mnt/plain
mount -t tmpfs -o size=1m first mnt/twice
mount -t tmpfs -o size=2m second mnt/twice
ip link set lo mtu 16000 up
ip addr add 198.51.100.1/24 dev lo
hostname fixture
echo fixture.test >proc/sys/kernel/domainname
echo 1 >proc/sys/net/ipv4/ip_forward
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot . /bin/busybox sh /fixture/prepare "$2"
