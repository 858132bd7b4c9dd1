set -eu
while IFS= read -r kind && IFS= read -r path; do
    if [ "$kind" = directory ]; then
        [ ! -d "$path" ] || continue
        mkdir -m "$DIRECTORY_MODE" "$path"
        [ -z "$OWNER" ] || chown "$OWNER" "$path"
    else
        IFS= read -r target
        if [ -d "$path" ] && [ ! -L "$path" ]; then
            echo "$path is a directory, no place for a link" >&2
            exit 1
        fi
        ln -sfn -- "$target" "$path"
        [ -z "$OWNER" ] || chown -h "$OWNER" "$path"
    fi
done
