# Lines of the users and groups asked for, of the groups they are in, and of their primary groups. The functions
# is_user, is_group and is_member take a line.
accounts() {
    gids=' '
    v='!/etc/passwd cannot be read'
    if [ -r /etc/passwd ]; then
        v='='
        while IFS= read -r line || [ "$line" ]; do
            if is_user "$line"; then
                v=$v$line$nl
                gid=${line#*:*:*:}
                gids="$gids${gid%%:*} "
            fi
        done </etc/passwd
    fi
    record passwd 0 "$v"
    v='!/etc/group cannot be read'
    if [ -r /etc/group ]; then
        v='='
        while IFS= read -r line || [ "$line" ]; do
            gid=${line#*:*:}
            case $gids in
            *" ${gid%%:*} "*) v=$v$line$nl ;;
            *) if is_group "$line" || is_member "$line"; then v=$v$line$nl; fi ;;
            esac
        done </etc/group
    fi
    record group 0 "$v"
}
