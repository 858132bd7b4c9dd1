set -eu
export LC_ALL=C
if command -v sha256sum >/dev/null 2>&1; then
    compare() { sha256sum -c; }
elif command -v busybox >/dev/null 2>&1; then
    compare() { busybox sha256sum -c; }
else
    exit 69
fi
found=$(compare 2>&1) && exit 0
# Only what is wrong, with the tool's own words.
printf '%s\n' "$found" | grep -v ': OK$' >&2 || true
exit 1
