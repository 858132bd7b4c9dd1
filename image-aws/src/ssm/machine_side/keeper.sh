# Runs one command in a session of its own and keeps its reply until that was fetched. It is a session of its own, too:
# nothing that ends the script which started it leaves the command without somebody who ends it.
#
# GUARD WORK TOKEN SECONDS OUT_LIMIT ERR_LIMIT PACKING LAUNCH_BYTES SCRIPT_BYTES PAGE_BYTES; descriptor 3 ends with the
# last who waits. A limit of -1 is none.
guard=$1 work=$2 token=$3 seconds=$4 out_limit=$5 err_limit=$6 packing=$7 launch_bytes=$8 script_bytes=$9
shift 9
page_bytes=$1
cd "$work" || exit
echo $$ >keeper.pid.new
mv keeper.pid.new keeper.pid

kill_command() {
    if [ ! -e ended ] && read -r session <session; then
        kill_session "$session" none
    fi
}

reply() {
    mv reply.new reply
    while :; do
        true >idle
        sleep 1800
        [ ! -e idle ] || break
    done
    rm -rf "$work" "$guard"
    exit
}

# Room is made first: mostly it is what is missing.
fail() {
    kill_session $$ $$
    rm -f request unpacked stdin out err payload
    printf 'golden-image 1 %s failed %s\n\nend %s\n' "$token" "$*" "$token" >reply.new
    reply
}

unpack() {
    if [ "$packing" = gzip ]; then
        gzip -dc <request
    else
        cat request
    fi
}

unpack >unpacked && rm request &&
    head -c "$launch_bytes" unpacked >launch &&
    tail -c "+$((launch_bytes + 1))" unpacked | head -c "$script_bytes" >script &&
    tail -c "+$((launch_bytes + script_bytes + 1))" unpacked >stdin && rm unpacked &&
    mkfifo out.pipe err.pipe || fail "$work has no room for the request"
# The user that the command runs as cannot reach the files by name, and reads them by descriptors.
chmod 0444 script stdin

# collect NAME LIMIT: keeps the beginning of what comes, a little more than asked for, and swallows the rest, so that a
# command which writes without end neither fills the machine nor stops. By cat(1) under a limit of the file's size, because
# head(1) holds back what it has read.
collect() {
    kept=1
    if [ "$2" = -1 ]; then
        cat >"$1" || kept=0
    else
        (
            ulimit -f "$(($2 / 512 + 1))"
            exec cat >"$1"
        ) || [ "$(wc -c <"$1")" -gt "$2" ] || kept=0
    fi
    cat >/dev/null
    # Without room for either of these, the output counts as cut.
    if [ $kept = 1 ]; then
        true >"$1.done"
    else
        true >"$1.lost"
    fi
}
collect out "$out_limit" <out.pipe 3<&- &
collect err "$err_limit" <err.pipe 3<&- &
(
    sleep "$seconds"
    [ -e ended ] || true >overdue
    kill_command
) 3<&- &
(
    cat <&3 >/dev/null
    true >"$guard/over"
    kill_command
) &
exec 3<&-

# The first thing the command does is to say which session it is, then it looks whether it is cancelled; whoever cancels
# does it the other way round.
setsid -f -w sh -c 'exec env -i sh ./launch "$0" <stdin >out.pipe 2>err.pipe 8<script' "$guard" 2>setsid.err
status=$?
# From here on, time is not the command's, and what it left running stays.
true >ended
state=done
if [ -e overdue ]; then
    state=overdue
fi
: <>out.pipe
: <>err.pipe
# What the command left running may hold its output open for ever.
looks=0
until [ -e out.done ] && [ -e err.done ] || [ $looks = 50 ]; do
    sleep 0.1
    looks=$((looks + 1))
done
kill_session $$ $$
wait

# setsid(1) speaks up only where a signal has ended its child, and its status is then that of wait(2).
if [ -s setsid.err ]; then
    exit="signal $((status % 128))"
else
    exit="code $status"
fi
if [ -e "$guard/over" ]; then
    rm -rf "$work"
    exit
fi

# measure NAME LIMIT: `bytes` to send, and whether they are `cut`.
measure() {
    [ ! -e "$1.lost" ] || fail "$work has no room for the output"
    bytes=$(wc -c <"$1") cut=0
    if [ "$2" != -1 ] && [ "$bytes" -gt "$2" ]; then
        bytes=$2 cut=1
    fi
    [ -e "$1.done" ] || cut=1
}
measure out "$out_limit"
out_bytes=$((bytes)) out_cut=$cut
measure err "$err_limit"
err_bytes=$((bytes)) err_cut=$cut
output() {
    head -c "$out_bytes" out && head -c "$err_bytes" err
}
if [ $((out_bytes + err_bytes)) -le "$page_bytes" ]; then
    packing=plain
fi
if [ "$packing" = gzip ]; then
    output | gzip -c >payload
else
    output >payload
fi || fail "$work has no room for the output"
rm -f out err stdin script launch
{
    echo "golden-image 1 $token $state $exit $out_bytes $out_cut $err_bytes $err_cut $packing" \
        $(($(wc -c <payload))) "$(digest payload)"
    head -c "$page_bytes" payload | base64 | tr -d '\n'
    printf '\nend %s\n' "$token"
} >reply.new || fail "$work has no room for the reply"
reply
