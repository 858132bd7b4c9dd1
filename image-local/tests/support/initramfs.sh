#!/bin/busybox sh
# /init of the fixture's initrd: loads the virtio drivers, mounts what root= names, and becomes the init in it.
PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
for module in /modules/*; do
    insmod "$module" || echo "fixture: cannot load $module"
done

mode=rw
init=/sbin/init
root=
for parameter in $(cat /proc/cmdline); do
    case $parameter in
    init=*) init=${parameter#init=} ;;
    ro) mode=ro ;;
    root=*) root=${parameter#root=} ;;
    esac
done

# by_partuuid UUID: reads GPT entries, 128 bytes each from sector 2, with the unique GUID in their second 16 bytes.
# Its first three fields are stored little-endian.
by_partuuid() {
    wanted=$(echo "$1" | tr A-F a-f | sed -E \
        's/^(..)(..)(..)(..)-(..)(..)-(..)(..)-(....)-.{12}$/\4\3\2\1\6\5\8\7\9/')$(echo "$1" | tr A-F a-f | sed 's/.*-//')
    for disk in /dev/vd? /dev/sd?; do
        [ -b "$disk" ] || continue
        line=$(dd if="$disk" bs=512 skip=2 count=32 2>/dev/null | hexdump -v -e '16/1 "%02x" "\n"' | grep -n "^$wanted$")
        [ -z "$line" ] || {
            echo "$disk$(((${line%%:*} - 2) / 8 + 1))"
            return
        }
    done
    return 1
}

resolve() {
    case $root in
    PARTUUID=*) by_partuuid "${root#PARTUUID=}" ;;
    LABEL=* | UUID=*) findfs "$root" ;;
    *) [ -b "$root" ] && echo "$root" ;;
    esac
}

tries=0
until device=$(resolve); do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || {
        echo "fixture: no device for root=$root"
        exit 1
    }
    usleep 50000
done
mount -t ext4 -o "$mode" "$device" /root || exit 1
for directory in proc sys dev; do
    mount --move /$directory /root/$directory
done
exec switch_root /root "$init"
