# One piece of a request that is too long for one script: `token`, `piece`, `sha256`, `work`. The piece is `content`.
mkdir -p "/run/golden-image.$token" "$work" || fail "$work cannot be made"
new=$work/piece.$piece.$$
content >"$new" || fail "$work has no room"
[ "$(digest "$new")" = "$sha256" ] || fail "piece $piece arrived with another digest"
mv "$new" "$work/piece.$piece" || fail "$work cannot be written"
answer staged "$piece"
