# What systemd says of all units at once, or a record for each unit: of its file, or of its links in runlevels.
services() {
    index=0
    if have systemctl && [ -d /run/systemd/system ]; then
        for unit; do
            # A pattern would be answered with any number of units.
            case $unit in *[*?[]*) unit=no.service ;; esac
            set -- "$@" "$unit"
            shift
        done
        if v=$(systemctl show -p Id -p Names -p ActiveState -p UnitFileState -- "$@" 2>&1); then v="=$v"; else v="!$v"; fi
        record units 0 "$v"
    elif have systemctl; then
        for unit; do
            v=$(systemctl --root=/ is-enabled -- "$unit" 2>&1)
            record unit "$index" "=systemd $v"
            index=$((index + 1))
        done
    elif [ -d /etc/runlevels ]; then
        for unit; do
            levels=''
            for level in /etc/runlevels/*; do
                # The name may be a pattern.
                for link in "$level"/$unit; do
                    if [ -e "$link" ] || [ -L "$link" ]; then
                        levels="$levels ${level##*/}"
                        break
                    fi
                done
            done
            if ! [ -d /run/openrc/started ]; then
                runs=-
            elif [ -e "/run/openrc/started/$unit" ] || [ -L "/run/openrc/started/$unit" ]; then
                runs=yes
            else
                runs=no
            fi
            record unit "$index" "=openrc $runs$levels"
            index=$((index + 1))
        done
    elif [ -d /etc/init.d ]; then
        for unit; do
            levels=''
            for level in 0 1 2 3 4 5 6 S; do
                for link in "/etc/rc$level.d/S"[0-9][0-9]$unit; do
                    if [ -e "$link" ] || [ -L "$link" ]; then
                        levels="$levels $level"
                        break
                    fi
                done
            done
            if ! have service; then
                runs='!'
            elif [ -e "/etc/init.d/$unit" ]; then
                run 30 0 service "$unit" status
                case $ran in *"${nl}end"*) case ${ran#=} in 's 0 '*) runs=yes ;; *) runs=no ;; esac ;; *) runs='!' ;; esac
            else
                runs=no
            fi
            record unit "$index" "=sysv $runs$levels"
            index=$((index + 1))
        done
    else
        record units 0 '!there is no init system that is known here'
    fi
}
