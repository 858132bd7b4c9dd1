metadata=%f:%s:%u:%g:%U:%G

# A 1 or 0 for each file, then a line for each that is there.
listing() {
    there='' count=$#
    for file; do
        if [ -e "$file" ] || [ -L "$file" ]; then
            there=${there}1
            set -- "$@" "$file"
        else
            there=${there}0
        fi
    done
    shift "$count"
    out "$there$nl"
    [ $# = 0 ] || stat -c "$metadata" -- "$@" 2>/dev/null
}

# For files that are not there too: why not is in the words of the system.
status() {
    if found=$(stat -c "$metadata" -- "$1" 2>&1); then found="=$found"; else found="!$found"; fi
}

sum() {
    if ! [ -f "$3" ]; then
        v='!it is no regular file'
    elif have "$1sum"; then
        v=$("$1sum" <"$3" 2>&1) && v="=$v" || v="!$v"
    elif have openssl; then
        v=$(openssl dgst "-$1" -r <"$3" 2>&1) && v="=$v" || v="!$v"
    else
        v="!there is no $1sum and no openssl"
    fi
    record "$1" "$2" "$v"
}

contents() {
    if [ -f "$2" ]; then
        run 60 "$limit" cat -- "$2"
        record contents "$1" "$ran"
    else
        record contents "$1" '!it is no regular file'
    fi
}

# The index of the first file, a hexadecimal digit of what is wanted beside metadata for each, and the files.
files() {
    index=$1 flags=$2
    shift 2
    if have stat; then batch=yes; else batch=no; fi
    lines=$(listing "$@") || batch=no
    there=${lines%%"$nl"*}
    lines=${lines#*"$nl"}
    for file; do
        case $batch$there in
        yes1*)
            found="=${lines%%"$nl"*}"
            lines=${lines#*"$nl"}
            ;;
        *) status "$file" ;;
        esac
        # A home directory that the shell did not put in its place.
        case $file in '~'*) found='!there is no such home directory' ;; esac
        record stat "$index" "$found"
        case $found in
        =*)
            if [ -L "$file" ]; then
                if ! have readlink; then
                    v='!there is no readlink'
                else
                    v=$(readlink -n -- "$file" 2>&1 && out .) && v="=$v" || v="!$v"
                fi
                record link "$index" "$v"
            fi
            case $flags in [13579bdf]*) contents "$index" "$file" ;; esac
            case $flags in [2367abef]*) sum md5 "$index" "$file" ;; esac
            case $flags in [4-7c-f]*) sum sha256 "$index" "$file" ;; esac
            case $flags in [89a-f]*) sum sha512 "$index" "$file" ;; esac
            ;;
        esac
        index=$((index + 1)) flags=${flags#?} there=${there#?}
    done
}
