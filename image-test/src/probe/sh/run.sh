# The environment of what the suite itself runs is the one that this script found.
restore='if [ "$probe_locale" = - ]; then unset LC_ALL; else LC_ALL=${probe_locale#=}; fi; unset probe_locale'

# Runs "$@" after three arguments: whether there is setsid, the seconds, the bytes of a stream. Prints s STATUS PID WATCHDOG,
# e HEX, o HEX, end. The nested groups collect both streams apart without a file. A watchdog kills the command's process
# group and this one. Without setsid it kills their descendants, and what the command left to init stays.
runner='
nl="
"
grouped=$1 seconds=$2 limit=$3 self=""
shift 3
hex() {
    { od -An -v -t x1 -N "$1" && echo z; cat >/dev/null; } | tr -d " \n"
}
start() {
    if [ "$grouped" ]; then exec setsid "$@"; else exec "$@"; fi
}
slay() {
    kill -STOP "$1"
    for stat in /proc/[0-9]*/stat; do
        if IFS= read -r line <"$stat"; then
            rest=${line##*) }
            rest=${rest#* }
            if [ "${rest%% *}" = "$1" ] && [ "${line%% *}" != "$self" ]; then slay "${line%% *}"; fi
        fi
    done
    kill -9 "$1"
} 2>/dev/null
watch() {
    sleep "$seconds"
    printf t
    if [ "$grouped" ]; then
        kill -9 "-$1"
        kill -9 "-$$"
    else
        self=$(exec sh -c "echo \$PPID")
        slay "$$"
    fi
}
exec 5>&1
result=$(
    {
        o=$(
            {
                e=$(
                    {
                        start "$@" </dev/null 2>&1 >&3 3>&- 4>&- 5>&- &
                        child=$!
                        (
                            # A redirection of the function would keep a copy of the pipe until it returns.
                            exec </dev/null >&5 2>/dev/null 3>&- 4>&- 5>&-
                            watch "$child"
                        ) &
                        wait "$child"
                        printf "s %s %s %s\n" "$?" "$child" "$!" >&4
                    } | hex "$limit"
                )
                printf "e %s\n" "$e" >&4
            } 3>&1 | hex "$limit"
        )
        printf "o %s\n" "$o"
    } 4>&1
)
started=${result%%"$nl"*}
started=${started#s * }
if [ "$grouped" ]; then kill -9 "-${started% *}"; else slay "${started% *}"; slay "${started#* }"; fi 2>/dev/null
printf "%s\nend\n" "$result"
'

# Sets ran to what became of a command.
run() {
    for tool in sh od tr cat sleep; do
        if ! have "$tool"; then
            ran="!there is no $tool"
            return
        fi
    done
    if [ -z "$fractions" ]; then
        if sleep 0.001 2>/dev/null; then fractions=yes; else fractions=no; fi
    fi
    seconds=$1
    shift
    if [ "$fractions" = no ]; then seconds=$((${seconds%.*} + 1)); fi
    if have setsid; then
        ran="=$(
            setsid sh -c "$runner" sh yes "$seconds" "$@" 2>/dev/null &
            group=$!
            wait "$group"
            kill -9 "-$group" 2>/dev/null
        )"
    else
        ran="=$(sh -c "$runner" sh '' "$seconds" "$@" 2>/dev/null)"
    fi
}
