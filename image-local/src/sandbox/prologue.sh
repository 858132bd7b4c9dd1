# Fills the new namespaces, then waits as their process 1 until it is killed.
# $1 root filesystem  $2 fstab  $3 size of the script on standard input  $4 its owner  $5 loopback: up or host
set -eu
umask 022
cd -- "$1"
mount -n -a -T "$2"
cd -- "$1"
# From here on no path leads out: `..` at the new root and the root of the mount namespace are the new root itself.
mount -n --move . /
hostname build 2>/dev/null || echo build >/proc/sys/kernel/hostname
if [ "$5" = up ]; then
  ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || :
fi
if [ "$3" != 0 ]; then
  umask 077
  head -c "$3" >dev/.build/script
  chmod 0500 dev/.build/script
  chown "$4" dev/.build/script
fi
# This /proc is still the one outside, so the number is too.
read -r pid rest </proc/self/stat
echo "$pid"
exec 3<&0 </dev/null >/dev/null 2>&1
{ read -r rest; } <&3 &
# Reaps what daemons leave behind.
wait
