parameter() {
    v=$(cat "/proc/sys/$2" 2>&1) && v="=$v" || v="!$v"
    record parameter "$1" "$v"
}

# The status lines of processes with one of the names, behind whether all processes can be seen.
processes() {
    if ! [ -r /proc/self/stat ]; then
        v='!there is no /proc'
    else
        if cat /proc/1/stat >/dev/null 2>&1; then v='=all'; else v='=some'; fi
        v=$v$nl$(cat /proc/[0-9]*/stat 2>/dev/null | filter -F "$@")
    fi
    record processes 0 "$v"
}

mounts() {
    if [ -r /proc/self/mountinfo ]; then
        v="=$(filter -F "$@" </proc/self/mountinfo)"
    else
        v='!/proc/self/mountinfo cannot be read'
    fi
    record mounts 0 "$v"
}

usage() {
    if have stat; then run 5 4096 stat -f -c '%b %f' -- "$2"; else ran='!there is no stat'; fi
    record usage "$1" "$ran"
}
