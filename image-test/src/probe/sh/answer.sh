encode() {
    if have gzip && have base64; then
        encoding=gzip+base64
        answer=$(out "$1" | gzip -9c | base64 | tr -d '\n')
    elif have gzip && have od; then
        encoding=gzip+hex
        answer=$(out "$1" | gzip -9c | od -An -v -t x1 | tr -d ' \n')
    elif have base64; then
        encoding=base64
        answer=$(out "$1" | base64 | tr -d '\n')
    elif have od; then
        encoding=hex
        answer=$(out "$1" | od -An -v -t x1 | tr -d ' \n')
    else
        encoding=plain
        answer=$1
    fi
}

# Keeps the answer for further commands, in memory where possible, readable by this user only.
store() {
    place=0
    for directory in $stores; do
        directory=$directory/image-test-$nonce
        if (umask 077 && mkdir "$directory") 2>/dev/null; then
            trap 'rm -rf "$directory"; exit 1' HUP INT TERM
            (umask 077 && out "$answer" >"$directory/answer") 2>/dev/null
            if [ "$(wc -c <"$directory/answer" 2>/dev/null || out 0)" -eq "${#answer}" ]; then return 0; fi
            rm -rf "$directory"
            trap - HUP INT TERM
        fi
        place=$((place + 1))
    done
    return 1
}

answer() {
    encode "$1"
    header="image-test-probe/1 $nonce $encoding ${#answer} $(out "$nonce$nl$1" | digest)"
    if [ "${#answer}" -le "$page" ]; then
        out "$header -$nl$answer"
    elif store; then
        out "$header $place$nl"
        dd if="$directory/answer" bs="$page" count=1 2>/dev/null || rm -rf "$directory"
    else
        out "$header !$nl"
    fi
}
