# The rows of a socket table with one of the ports, in hexadecimal and apart by |, and one of the states.
sockets() {
    table=/proc/net/$1
    if [ -r "$table" ]; then
        v="=$(filter -E ":($2) [0-9A-F]+:[0-9A-F]+ ($3) " <"$table")"
    elif [ -r /proc/net/dev ] && ! [ -e "$table" ]; then
        v='=' # a kernel without that protocol
    else
        v="!$table cannot be read"
    fi
    record "$1" 0 "$v"
}

interface() {
    if [ -e "/sys/class/net/$2" ]; then
        if ! have ip; then
            v='!there is no ip, and nothing else tells all addresses'
        else
            v=$(cat "/sys/class/net/$2/mtu" 2>&1 && ip -o addr show dev "$2" 2>&1) && v="=$v" || v="!$v"
        fi
    elif [ -d /sys/class/net ]; then
        v='='
    else
        v='!there is no /sys/class/net'
    fi
    record interface "$1" "$v"
}

# The number of a TCP port that may be the name of a service: port, its number where there is no file that knows better.
port() {
    number=''
    case $1 in
    *[!0-9]*)
        while read -r name at aliases; do
            for alias in "$name" ${aliases%%#*}; do
                case $at:$alias in [0-9]*/tcp:"$1") number=${at%/tcp} ;; esac
            done
        done 2>/dev/null </etc/services
        ;;
    esac
    if [ -z "$number" ]; then number=${2:-$1}; fi
}

# A connection: index, seconds, host, port, local address, the number that the port is known to have.
address() {
    port "$4" "$6"
    set -- "$1" "$2" "$3" "$number" "$5"
    if [ -z "$5" ] && have bash; then
        run "$2" 4096 bash -c ': 3<>"/dev/tcp/$1/$2"' bash "$3" "$4"
    elif have curl; then
        case $3 in *:*) host="[$3]" ;; *) host=$3 ;; esac
        set -- "$1" "$2" "$host" "$4" "$5"
        run "$((${2%.*} + 2))" 4096 curl -qs --connect-timeout "$2" -m "$2" ${5:+--interface "$5"} -o /dev/null -w '%{time_connect}' \
            "telnet://$3:$4"
        ran="=curl$nl${ran#=}"
    elif have nc; then
        case $(nc -h 2>&1) in
        *'-e PROG'*) run "$2" 4096 nc ${5:+-s "$5"} "$3" "$4" -e true ;;
        *) run "$2" 4096 nc -z ${5:+-s "$5"} "$3" "$4" ;;
        esac
    else
        ran='!there is no bash, curl or nc'
    fi
    record address "$1" "$ran"
}

# The sources of names, then the lines of the hosts file that may have one of the names.
hosts() {
    sources=$(filter '^hosts:' 2>/dev/null </etc/nsswitch.conf)
    v="=${sources%%"$nl"*}$nl$(filter -iF "$@" 2>/dev/null </etc/hosts)"
    record hosts 0 "$v"
}

# A name for the system's resolver: index, seconds, host.
resolve() {
    if ! have getent; then
        ran='!there is no getent'
    elif [ -r /etc/hosts ] || [ -r /etc/resolv.conf ]; then
        run "$2" 65536 getent ahosts "$3"
    else
        ran='!neither /etc/hosts nor /etc/resolv.conf can be read'
    fi
    record resolve "$1" "$ran"
}

# A query to a server: index, record, seconds, server, port, type, host.
query() {
    if have dig; then
        run "$3" 65536 dig +noall +comments +answer +tries=1 +time="$((${3%.*} + 1))" -p "$5" "@$4" -t "$6" -q "$7"
    elif have drill; then
        run "$3" 65536 drill -p "$5" "$7" "@$4" "$6"
    elif have host; then
        run "$3" 65536 host -v -R 1 -W "$((${3%.*} + 1))" -p "$5" -t "$6" "${7%.}." "$4"
    else
        ran='!there is no dig, drill or host'
    fi
    record "$2" "$1" "$ran"
}

# A request, as a configuration of curl, which names no secret in any argument: index, seconds, configuration. Then why GNU
# wget cannot make it, or nothing and its arguments.
request() {
    if have curl; then
        probe_request=$3
        export probe_request
        run "$2" "$limit" sh -c 'printf %s "$probe_request" | { unset probe_request; exec curl -q -K -; }'
        unset probe_request
    elif [ "$4" ]; then
        ran="!there is no curl, and wget $4"
    else
        # By its path: the shell of BusyBox would run its own.
        wget=$(command -v wget)
        case $("${wget:-false}" --version 2>/dev/null) in
        *'GNU Wget'*)
            request_index=$1 request_seconds=$2
            shift 4
            run "$request_seconds" "$limit" "$wget" "$@"
            set -- "$request_index"
            case $ran in =*) ran="=wget$nl${ran#=}" ;; esac
            ;;
        *) ran='!there is no curl, and no GNU wget' ;;
        esac
    fi
    record http "$1" "$ran"
}
