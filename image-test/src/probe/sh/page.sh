# One further page of a stored answer; the last one removes it.
file=$directory/answer
if [ ! -f "$file" ]; then
    printf 'image-test-page/1 %s %s !\n' "$nonce" "$number"
else
    if [ "$last" = yes ]; then trap 'rm -rf "$directory"' EXIT; fi
    printf 'image-test-page/1 %s %s -\n' "$nonce" "$number"
    dd if="$file" bs="$page" skip="$number" count=1 2>/dev/null
fi
