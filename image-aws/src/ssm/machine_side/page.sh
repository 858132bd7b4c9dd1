# One page of a payload: `token`, `page`, `page_bytes`.
places "$token"
[ -e "$work/payload" ] || fail 'the output is gone'
rm -f "$work/idle"
printf 'golden-image 1 %s page %s\n' "$nonce" "$page"
dd if="$work/payload" bs="$page_bytes" skip="$page" count=1 2>/dev/null | base64 | tr -d '\n'
printf '\nend %s\n' "$nonce"
