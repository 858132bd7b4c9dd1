# What every script begins with: `nonce` names the answer, `boot` the boot it is meant for (empty for any), `forget` and
# `retire` the commands whose results have arrived. Its own variables come after this, because this uses some of the names.
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

# answer WORDS: a whole answer without a body.
answer() {
    printf 'golden-image 1 %s %s\n\nend %s\n' "$nonce" "$*" "$nonce"
}

# fail WORDS: the answer is that it could not be done.
fail() {
    answer failed "$*"
    exit 0
}

# places TOKEN: where a command is kept. Its guard is in memory and goes with a restart; its files may be too large for that.
places() {
    guard=/run/golden-image.$1
    for work in "$guard/work" "/var/lib/golden-image.$1"; do
        [ ! -d "$work" ] || return 0
    done
}

# drop TOKEN: ends a command, and removes all but its guard.
drop() {
    places "$1"
    if [ ! -e "$work/reply" ] && read -r session <"$work/session"; then
        kill_session "$session" none
    fi
    # The number may be another process's by now, if something has killed the keeper.
    if read -r keeper <"$work/keeper.pid" && grep -q "$1" "/proc/$keeper/cmdline"; then
        kill_session "$keeper" none
    fi
    rm -rf "$work"
} 2>/dev/null

for token in $forget; do
    drop "$token"
    rm -rf "/run/golden-image.$token"
done
for token in $retire; do
    # After a restart there is nothing; and a redirection that fails would end the shell, were it one of `:`.
    true >"/run/golden-image.$token/over"
    drop "$token"
done 2>/dev/null

read -r booted </proc/sys/kernel/random/boot_id || fail 'the boot id cannot be read'
if [ -n "$boot" ] && [ "$boot" != "$booted" ]; then
    answer restarted "$booted"
    exit 0
fi
