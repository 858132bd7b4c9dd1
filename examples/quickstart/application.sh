# GREETING comes from the command line, to have something to change.
printf '%s\n' "$GREETING" >/usr/local/lib/hello/greeting
systemctl enable hello.socket
