# Whether everything that the other scripts use is there.
missing=
for tool in base64 cat chmod cut dd env grep head mkdir mkfifo mv rm setsid sha256sum sleep tail tr wc; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
setsid -f -w true 2>/dev/null || missing="$missing setsid-of-util-linux-2.32"
sleep 0.01 2>/dev/null || missing="$missing sleep-with-fractions"
[ -z "$missing" ] || fail "it lacks what commands are run with:$missing"
packing=plain
if command -v gzip >/dev/null; then
    packing=gzip
fi
answer hello "$booted" $packing
