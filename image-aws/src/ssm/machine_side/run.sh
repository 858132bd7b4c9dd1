# Runs a command once, however often this script arrives, and waits for its reply: `token`, `work`, `pieces` (0 when the
# request is `content`), `sha256` of the request, and `arguments` of the keeper.
guard=/run/golden-image.$token
held=

# For whoever waits, now or later.
refuse() {
    rm -f "$work/request" "$work"/piece.*
    printf 'golden-image 1 %s failed %s\n\nend %s\n' "$nonce" "$*" "$nonce" >"$work/reply.new"
    mv "$work/reply.new" "$work/reply"
}

collect_request() {
    if [ "$pieces" = 0 ]; then
        content
        return
    fi
    index=0
    while [ "$index" -lt "$pieces" ]; do
        cat "$work/piece.$index" && rm "$work/piece.$index" || return
        index=$((index + 1))
    done
}

mkdir -p "$guard" || fail "$guard cannot be made"
if mkdir "$guard/started" 2>/dev/null; then
    mkdir -p "$work" || fail "$work cannot be made"
    keeper_script >"$work/keeper"
    if ! { collect_request >"$work/request" && mkfifo "$work/waiters"; }; then
        refuse "$work has no room for the request"
    elif [ "$(digest "$work/request")" != "$sha256" ]; then
        refuse 'the request arrived with another digest'
    else
        exec 9<>"$work/waiters"
        held=1
        # Not with an ampersand: the shell would have it ignore interrupts, and with it all that it starts.
        setsid -f sh "$work/keeper" "$guard" "$work" "$token" $arguments 3<"$work/waiters" 9>&- </dev/null >/dev/null 2>&1 ||
            refuse 'setsid cannot start the keeper'
    fi
fi

looks=0
while [ ! -e "$work/reply" ]; do
    if [ -z "$held" ] && [ -p "$work/waiters" ]; then
        exec 9<>"$work/waiters"
        held=1
    fi
    if read -r keeper 2>/dev/null <"$work/keeper.pid"; then
        kill -0 "$keeper" 2>/dev/null || [ -e "$work/reply" ] || fail 'the command was killed from outside'
    elif [ $looks -gt 200 ]; then
        fail 'the command never started'
    fi
    looks=$((looks + 1))
    if [ $looks -lt 50 ]; then pause=0.1; else pause=0.5; fi
    sleep $pause 9>&-
    [ ! -e "$guard/over" ] || fail 'the command was ended'
done
cat "$work/reply"
