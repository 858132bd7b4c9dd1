manager() {
    case $(cat /etc/lsb-release 2>/dev/null) in
    *Ubuntu*) out dpkg ;;
    *)
        if [ -e /etc/redhat-release ] || [ -e /etc/system-release ]; then
            out rpm
        elif [ -e /etc/alpine-release ]; then
            out apk
        elif [ -e /etc/arch-release ]; then
            out pacman
        elif [ -e /etc/debian_version ]; then
            out dpkg
        else
            for manager in dpkg rpm apk pacman; do
                if have "$manager"; then
                    out "$manager"
                    break
                fi
            done
        fi
        ;;
    esac
}

# Whether there is neither the tool nor the database of a package manager: its tool, then paths.
absent() {
    if have "$1"; then return 1; fi
    shift
    for database; do if [ -e "$database" ]; then return 1; fi; done
}

# The function is_package takes a line of the database of apk.
packages() {
    manager=$(manager)
    case $manager in
    dpkg) if absent dpkg-query /var/lib/dpkg/status /var/lib/dpkg/status.d; then manager=none; fi ;;
    apk) if absent apk /lib/apk/db/installed /usr/lib/apk/db/installed; then manager=none; fi ;;
    pacman) if absent pacman /var/lib/pacman/local; then manager=none; fi ;;
    *) if absent rpm /usr/lib/sysimage/rpm /var/lib/rpm; then manager=none; else manager=rpm; fi ;;
    esac
    case $manager in
    none) v='' ;;
    dpkg)
        v=$(dpkg-query -W -f '${Package}\t${Architecture}\t${Status}\t${Version}\n' "$@" 2>&1)
        if [ $? -gt 1 ]; then
            # One name that it does not take hides the others.
            v=''
            for name; do v=$v$nl$(dpkg-query -W -f '${Package}\t${Architecture}\t${Status}\t${Version}\n' "$name" 2>&1); done
        fi
        ;;
    rpm) v=$(rpm -q --nosignature --nohdrchk --nodigest --qf "$rpm_format" "$@" 2>&1) ;;
    pacman) v=$(pacman -Q --color never --noconfirm "$@" 2>&1) ;;
    apk)
        database=/lib/apk/db/installed
        if ! [ -e "$database" ]; then database=/usr/lib/apk/db/installed; fi
        if ! [ -r "$database" ]; then
            record packages 0 "!$database cannot be read"
            return
        fi
        v=$(
            wanted=no
            filter '^[PV]:' <"$database" | while IFS= read -r line; do
                case $line in
                P:*) if is_package "$line"; then wanted=yes; else wanted=no; fi ;;
                esac
                if [ "$wanted" = yes ]; then out "$line$nl"; fi
                case $line in V:*) if [ "$wanted" = yes ]; then out "$nl"; fi ;; esac
            done
            out end
        )
        ;;
    esac
    record packages 0 "=$manager$nl$v"
}
