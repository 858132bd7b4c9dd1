# One line a fact: `check`, part, verdict, message, or `identity`, kind, value; parted by tabs.
check() {
    printf 'check\t%s\t%s\t%s\n' "$1" "$2" "$3"
}

# Passes when there is nothing in the list.
nothing() {
    if [ -z "$2" ]; then
        check "$1" pass ''
    else
        check "$1" fail "$(printf '%s\n' "$2" | head -n 5 | tr '\t\n' '  ')"
    fi
}

# Those that exist of the paths given.
present() {
    for path; do
        if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi
    done
}

# Files below a directory, less those that a booted system made since its boot.
files() {
    if [ ! -d "$1" ] || [ -L "$1" ]; then return 0; fi
    find "$1" -xdev -type f | while IFS= read -r file; do
        changed=$(stat -c %Z "$file" 2>/dev/null || echo 0)
        if [ "$stage" != boot ] || [ "${changed:-0}" -lt "$booted" ]; then printf '%s\n' "$file"; fi
    done
}
booted=$(sed -n 's/^btime //p' "$root/proc/stat" 2>/dev/null || true)
# An unknown boot time excuses no file.
booted=${booted:-9999999999}

identities() {
    if [ -s "$root/etc/machine-id" ]; then
        printf 'identity\tmachine-id\t%s\n' "$(head -n 1 "$root/etc/machine-id")"
    fi
    for key in "$root"/etc/ssh/ssh_host_*_key.pub; do
        if [ -f "$key" ]; then printf 'identity\tssh host key\t%s\n' "$(cut -d ' ' -f 1,2 "$key")"; fi
    done
}

prerequisites() {
    for tool in find grep head id rm rmdir chmod ln; do
        if ! command -v "$tool" >/dev/null 2>&1; then
            check prerequisites fail "$tool is missing"
            return 0
        fi
    done
    if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
        check prerequisites fail "commands do not run as root"
        return 0
    fi
    check prerequisites pass ''
}

build_traces() {
    nothing build_traces "$(homes | while IFS= read -r home; do present "$home/.ansible"; done)"
}

cloud_init() {
    if [ "$stage" = boot ]; then return 0; fi
    nothing cloud_init "$(present "$root"/var/lib/cloud/* | grep -v '/seed$' || true)"
}

dhcp_leases() {
    if [ "$stage" = boot ]; then return 0; fi
    nothing dhcp_leases "$(present "$root"/var/lib/dhcp/*.lease* "$root"/var/lib/dhclient/*.lease* \
        "$root"/var/lib/dhcpcd/*.lease* "$root"/var/lib/NetworkManager/*.lease)"
}

histories() {
    nothing histories "$(homes | while IFS= read -r home; do
        for name in $history_names; do
            if [ ! -L "$home/$name" ]; then present "$home/$name"; fi
        done
    done)"
}

machine_id() {
    if [ "$stage" = boot ]; then
        if ! has_systemd; then return 0; fi
        id=$(head -n 1 "$root/etc/machine-id" 2>/dev/null || true)
        case $id in
        *[!0-9a-f]* | '') check machine_id fail "the booted machine has the id \`$id\`" ;;
        *) check machine_id pass '' ;;
        esac
    elif [ -s "$root/etc/machine-id" ]; then
        check machine_id fail "/etc/machine-id is not empty"
    elif [ -s "$root/var/lib/dbus/machine-id" ] && [ ! -L "$root/var/lib/dbus/machine-id" ]; then
        check machine_id fail "/var/lib/dbus/machine-id is not empty"
    else
        check machine_id pass ''
    fi
}

package_caches() {
    nothing package_caches "$(
        for cache in lib/apt/lists cache/dnf cache/libdnf5 cache/yum cache/apk cache/zypp cache/pacman/pkg; do
            files "$root/var/$cache"
        done
        files "$root/var/cache/apt" | grep -E '[.](bin|deb)$' || true
    )"
}

random_seed() {
    if [ "$stage" = boot ]; then return 0; fi
    nothing random_seed "$(present "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret" \
        "$root/var/lib/urandom/random-seed" "$root/var/lib/seedrng/"*)"
}

ssh_host_keys() {
    if [ "$stage" = boot ]; then return 0; fi
    nothing ssh_host_keys "$(present "$root"/etc/ssh/ssh_host_*_key "$root"/etc/dropbear/dropbear_*_host_key)"
}

udev_rules() {
    nothing udev_rules "$(present "$root"/etc/udev/rules.d/70-persistent-net.rules)"
}

# Keys of all users; `given` counts only those that were made for the build.
authorized_keys() {
    nothing authorized_keys "$(homes | sort -u | while IFS= read -r home; do
        for file in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; do
            if [ ! -f "$file" ]; then continue; fi
            if [ "$1" = given ]; then
                if [ -n "$SEAL_KEYS" ] && mentions "$file" "$SEAL_KEYS"; then printf '%s\n' "$file"; fi
            elif grep -q '^[^#]' "$file"; then
                printf '%s\n' "$file"
            fi
        done
    done)"
}

proxies() {
    nothing proxies "$(proxy_files | while IFS= read -r file; do
        if mentions "$file" "$SEAL_PROXIES"; then printf '%s\n' "$file"; fi
    done)"
}

