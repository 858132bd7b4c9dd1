# Every answer is a record: kind, index and length in one line, then so many bytes. A payload begins with = and is what
# was found, or with ! and says why nothing was. Lengths are in bytes.
probe_locale=-
if [ "${LC_ALL+set}" ]; then probe_locale==$LC_ALL; fi
LC_ALL=C
export LC_ALL probe_locale
nl='
'
records=0

have() {
    command -v "$1" >/dev/null 2>&1
}

# Where printf is a program, its arguments are limited.
case $(command -v printf) in
/*) if have print; then out() { print -rn -- "$1"; }; else out() { printf %s "$1"; }; fi ;;
*) out() { printf %s "$1"; } ;;
esac

record() {
    records=$((records + 1))
    out "$1 $2 ${#3}$nl$3$nl"
}

# Passes the lines that grep finds, or all of them where there is no grep: the controller looks again.
filter() {
    if have grep; then grep "$@"; else cat; fi
}

digest() {
    if have sha256sum; then
        sum=$(sha256sum)
        out "sha256:${sum%% *}"
    elif have openssl; then
        sum=$(openssl dgst -sha256 -r)
        out "sha256:${sum%% *}"
    elif have cksum; then
        sum=$(cksum)
        out "cksum:${sum%% *}"
    else
        out none
    fi
}
