#!/agent-boot/root/bin/busybox sh
# First process of the guest: leaves the agent behind and becomes the initramfs' own init.
#
# The switch to the real root deletes the files of the initramfs but crosses no mount, and forgets the mount itself:
# a tmpfs at the top level survives it and cannot be reached from the image.
PATH=/agent-boot/root/bin

fail() {
    echo "golden-image agent: $1"
    exit 1
}

[ -x /init ] || fail "the initrd has no executable /init"
mkdir /agent && mount -t tmpfs -o "mode=0700,size=$(cat /agent-boot/spool)" agent /agent || fail "cannot mount a tmpfs"
cp -a /agent-boot/root/. /agent || fail "cannot copy the agent"
mount -t proc proc /agent/proc && mount -t sysfs sysfs /agent/sys || fail "cannot mount proc and sysfs"
mknod -m 0666 /agent/dev/null c 1 3 || fail "cannot make a device node"

# systemd kills what an initrd leaves behind unless argv[0] begins with '@'. start-stop-daemon rather than '&', which
# would have the agent and every command it runs ignore SIGINT and SIGQUIT.
chroot /agent /bin/start-stop-daemon -S -b -p /run/none -a @agent/sh -- /serve "$(stat -c %d /)" || fail "cannot start the agent"

# The shell's own additions to the environment.
unset PWD OLDPWD SHLVL
exec /init "$@"
