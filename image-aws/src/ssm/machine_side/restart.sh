# Restarts the machine, once the agent has had the time to report that it will.
setsid -f sh -c 'sleep 2; systemctl reboot || shutdown -r now || reboot' </dev/null >/dev/null 2>&1
answer restarting "$booted"
