shell() {
    run "$2" "$limit" sh -c "$restore; exec sh -c \"\$1\"" sh "$3"
    record command "$1" "$ran"
}
