# Ends a command and removes what there is of it. One that has not arrived yet will find its guard taken.
mkdir -p "/run/golden-image.$token/started"
true >"/run/golden-image.$token/over"
drop "$token"
answer killed
