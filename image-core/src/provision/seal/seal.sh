for tool in find grep head id rm rmdir chmod ln; do
    command -v "$tool" >/dev/null 2>&1 || { echo "the seal needs $tool, which is missing" >&2; exit 69; }
done
if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
    echo "the seal has to run as root" >&2
    exit 77
fi

# Removes what is in a directory. What is mounted in it is not part of the image and stays.
empty() {
    if [ ! -d "$1" ] || [ -L "$1" ]; then return 0; fi
    find "$1" -xdev -mindepth 1 -depth ! -type d -exec rm -f {} +
    # A mount point cannot be removed; a directory whose file could not be was reported above.
    find "$1" -xdev -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || true
}

# Takes the lines that mention one of the texts out of a file; owner and mode stay. A file that has only them goes,
# unless something may expect it.
without() {
    mentions "$1" "$2" || return 0
    kept=$(printf '%s\n' "$2" | grep -vF -f - "$1") || [ $? = 1 ]
    if [ -n "$kept" ]; then
        printf '%s\n' "$kept" > "$1"
    else
        case $1 in
        "$root"/etc/environment | "$root"/etc/profile | */.profile) : > "$1" ;;
        *) rm -f "$1" ;;
        esac
    fi
}

build_traces() {
    homes | while IFS= read -r home; do
        rm -rf "$home/.ansible"
    done
}

cloud_init() {
    for state in "$root"/var/lib/cloud/*; do
        # A seed is put there on purpose, for the first boot.
        case $state in */seed) ;; *) rm -rf "$state" ;; esac
    done
    # Network settings of the build machine, which cloud-init writes anew; without cloud-init they are somebody else's.
    if [ -e "$root/usr/bin/cloud-init" ]; then
        rm -f "$root/etc/netplan/50-cloud-init.yaml" "$root"/etc/network/interfaces.d/50-cloud-init* \
            "$root"/etc/systemd/network/10-cloud-init-* \
            "$root"/etc/NetworkManager/system-connections/cloud-init-*
    fi
}

dhcp_leases() {
    rm -f "$root"/var/lib/dhcp/*.lease* "$root"/var/lib/dhclient/*.lease* "$root"/var/lib/dhcpcd/*.lease* \
        "$root/var/lib/dhcpcd/duid" "$root/var/lib/dhcpcd/secret" "$root/etc/dhcpcd.duid" "$root/etc/dhcpcd.secret" \
        "$root"/var/lib/NetworkManager/*.lease "$root/var/lib/NetworkManager/secret_key" \
        "$root/var/lib/NetworkManager/timestamps" "$root/var/lib/NetworkManager/seen-bssids"
}

histories() {
    homes | while IFS= read -r home; do
        for name in $history_names; do
            # A link, mostly to /dev/null, is how a history is turned off.
            if [ -f "$home/$name" ] && [ ! -L "$home/$name" ]; then rm -f "$home/$name"; fi
        done
    done
}

hostname() {
    if [ -e "$root/etc/hostname" ]; then echo localhost > "$root/etc/hostname"; fi
}

logs() {
    empty "$root/var/log/journal"
    empty "$root/var/crash"
    empty "$root/var/lib/systemd/coredump"
    if [ ! -d "$root/var/log" ] || [ -L "$root/var/log" ]; then return 0; fi
    find "$root/var/log" -xdev -type f \( -name '*.gz' -o -name '*.xz' -o -name '*.bz2' -o -name '*.zst' -o \
        -name '*.old' -o -name '*.[0-9]' -o -name '*-20[0-9][0-9][0-9][0-9][0-9][0-9]' \) -exec rm -f {} +
    find "$root/var/log" -xdev -type f -exec sh -c 'for file; do : > "$file" || exit 1; done' sh {} +
}

machine_id() {
    id="$root/etc/machine-id"
    dbus="$root/var/lib/dbus/machine-id"
    if ! has_systemd; then
        # Others make the file when it is missing, and take an empty one for an error.
        rm -f "$id" "$dbus"
        return 0
    fi
    if [ -L "$id" ]; then rm -f "$id"; fi
    if [ -f "$id" ]; then chmod u+w "$id"; fi
    : > "$id"
    chmod 444 "$id"
    if [ -e "$dbus" ] || [ -L "$dbus" ]; then
        rm -f "$dbus"
        ln -s /etc/machine-id "$dbus"
    fi
}

package_caches() {
    empty "$root/var/lib/apt/lists"
    rm -f "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/archives/partial/*
    for cache in dnf libdnf5 yum PackageKit zypp apk; do
        empty "$root/var/cache/$cache"
    done
    empty "$root/var/cache/pacman/pkg"
}

random_seed() {
    rm -f "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret" \
        "$root/var/lib/urandom/random-seed" "$root/var/lib/random-seed" "$root/var/lib/misc/random-seed" \
        "$root/boot/loader/random-seed" "$root/boot/efi/loader/random-seed" "$root/efi/loader/random-seed"
    empty "$root/var/lib/seedrng"
}

ssh_host_keys() {
    rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub "$root"/etc/ssh/ssh_host_*_key-cert.pub \
        "$root"/etc/dropbear/dropbear_*_host_key
    if [ ! -e "$root/usr/sbin/sshd" ] || [ -e "$root/usr/bin/cloud-init" ]; then return 0; fi
    for maker in "$root"/usr/lib/systemd/system/*keygen* "$root"/lib/systemd/system/*keygen* \
        "$root"/etc/systemd/system/*keygen* "$root/etc/init.d/sshd"; do
        if [ -e "$maker" ]; then return 0; fi
    done
    echo "warning: the image has sshd, and nothing that makes its host keys at the first boot"
}

tmp() {
    empty "$root/tmp"
    empty "$root/var/tmp"
}

udev_rules() {
    rm -f "$root"/etc/udev/rules.d/70-persistent-net.rules "$root"/etc/udev/rules.d/70-persistent-cd.rules
}

authorized_keys() {
    homes | while IFS= read -r home; do
        for file in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; do
            if [ -f "$file" ]; then
                if [ "$1" = all ]; then rm -f "$file"; else without "$file" "$SEAL_KEYS"; fi
            fi
        done
    done
}

proxies() {
    proxy_files | while IFS= read -r file; do
        without "$file" "$SEAL_PROXIES"
    done
}

