# The agent in the guest: runs commands in the root of process 1 for whoever holds the other end of a virtio-serial port.
#
# serve INITRAMFS_DEVICE, the st_dev that tells the initramfs from the real root.
#
# Host to agent                                       Agent to host
#   sync BOOT                                           hello 1 BOOT     (again at every boot: not synchronised)
#   run ID BLOCKS LAUNCH SCRIPT STDIN, the three        ready BOOT
#     parts of so many bytes, end ID                    result ID EXIT OUT CUT ERR CUT, output of OUT and ERR bytes,
#   cancel ID                                             end ID
PATH=/bin
initramfs=$1
root=/proc/1/root
umask 022
cd /
echo -1000 >/proc/self/oom_score_adj

# Whether process 1 is the init of the real root, with /proc mounted there. systemd has to take orders as well: until
# then its tools believe that it does not run.
switched() {
    set -- $(stat -L -c %d $root /proc/1/exe)
    [ $# = 2 ] && [ "$1" != "$initramfs" ] && [ "$2" != "$initramfs" ] && [ -e $root/proc/1/stat ] || return
    case $(readlink /proc/1/exe) in
    */systemd) [ -S $root/run/systemd/private ] || [ -S $root/run/dbus/system_bus_socket ] ;;
    esac
}

# Makes /dev/port, once the driver is there. A sysfs of our own, because the image may not have mounted one.
find_port() {
    for name in /sys/class/virtio-ports/*/name; do
        [ -e "$name" ] && read -r value <"$name" && [ "$value" = golden-image.agent ] || continue
        IFS=: read -r major minor <"${name%/name}/dev"
        mknod /dev/port c "$major" "$minor"
        return
    done
    return 1
}

# take BYTES FILE: exactly so many bytes from the port. Anything that reads ahead would eat the next line.
take() {
    : >"$2"
    [ $(($1 / 65536)) -eq 0 ] || dd bs=65536 count=$(($1 / 65536)) iflag=fullblock <&3 >>"$2" || return
    [ $(($1 % 65536)) -eq 0 ] || dd bs=$(($1 % 65536)) count=1 iflag=fullblock <&3 >>"$2"
}

# kill_session SID: its leader, which may not lead yet, and every member until none is left.
kill_session() {
    kill -KILL "$1"
    found=1
    while [ $found = 1 ]; do
        found=0
        for stat in /proc/[0-9]*/stat; do
            read -r line <"$stat" || continue
            pid=${stat#/proc/}
            fields=${line##*) }
            set -- "$1" $fields
            [ "$5" = "$1" ] && [ "$2" != Z ] && kill -KILL "${pid%/stat}" && found=1
        done
    done
}

# Reads requests and names complete ones on its output. Ends when the stream makes no sense.
read_requests() {
    job=
    while IFS= read -r line <&3; do
        set -- $line
        case $1 in
        run)
            # The last result went out before its files were removed, and there may not be room for both.
            while [ -d "$job" ]; do
                usleep 10000
            done
            job=/run/$2
            mkdir "$job" && take "$4" "$job/launch" && take "$5" "$job/script" && take "$6" "$job/stdin" || return
            read -r line <&3 && [ "$line" = "end $2" ] || return
            echo "$2 $3"
            ;;
        cancel)
            # The other side writes the session before it looks for the cancellation: one of the two sees the other.
            [ ! -d "/run/$2" ] || : >"/run/$2/cancelled"
            read -r session <"/run/$2/session" && kill_session "$session"
            ;;
        sync | '') ;;
        *) return ;;
        esac
    done
}

# collect NAME: keeps the beginning of what comes through NAME.pipe and swallows the rest, so that a command which
# writes without end neither fills memory nor stops.
collect() {
    {
        (
            ulimit -f "$blocks"
            exec cat <&4
        ) >"$1" 5>&- &
        echo $! >"$1.pid"
        wait $! || : >"$1.cut"
        echo "$1" >&5
        exec cat <&4 >/dev/null 5>&-
    } 4<"$1.pipe" 3>&-
}

is_cut() {
    [ -e "$1.cut" ] && echo 1 || echo 0
}

run() {
    mkfifo -m 0666 out.pipe err.pipe finished
    exec 5<>finished
    collect out &
    collect err &
    (
        read -r pid rest </proc/self/stat
        echo "$pid" >session
        [ ! -e cancelled ] || exit 137
        exec setsid env -i chroot $root /proc/self/fd/9/busybox sh /proc/self/fd/7 \
            <stdin >out.pipe 2>err.pipe 3>&- 5>&- 7<launch 8<script 9</bin
    )
    status=$?
    # A command that was killed before it opened the pipes would leave the collectors waiting for a writer.
    : <>out.pipe
    : <>err.pipe
    # What the command left running may hold its output open for ever.
    left=2
    while [ $left -gt 0 ]; do
        if read -r -t 5 name <&5; then
            rm "$name.pid"
            left=$((left - 1))
        else
            for name in out err; do
                read -r pid <"$name.pid" && kill -KILL "$pid"
            done
        fi
    done
    exec 5>&-
    set -- $(stat -c %s out err)
    echo "result $id $status $1 $(is_cut out) $2 $(is_cut err)" >head
    echo "end $id" >tail
    cat head out err tail >&3
    cd /
    rm -rf "/run/$id"
}

run_requests() {
    while read -r id blocks; do
        cd "/run/$id" && run
    done
}

until switched; do
    usleep 100000
done
until find_port; do
    chroot $root modprobe virtio_console
    usleep 200000
done
until (exec 3<>/dev/port); do
    usleep 100000
done
exec 3<>/dev/port
read -r boot </proc/sys/kernel/random/boot_id
while :; do
    printf '\nhello 1 %s\n' "$boot" >&3
    until read -r line <&3 && [ "$line" = "sync $boot" ]; do
        :
    done
    echo "ready $boot" >&3
    # Parts of a pipeline are no background jobs, see the start of the agent.
    read_requests | run_requests
done
