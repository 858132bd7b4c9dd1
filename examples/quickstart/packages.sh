# Everything up to date, and what every machine of ours has.
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get dist-upgrade -qy
packages='chrony curl openssh-server prometheus-node-exporter'
# A package of its own since Debian 12 and Ubuntu 23.04; before it came with systemd.
if [ -n "$(apt-cache madison systemd-resolved)" ]; then
    packages="$packages systemd-resolved"
fi
# shellcheck disable=SC2086 # words are wanted
apt-get install -qy --no-install-recommends $packages
apt-get autoremove -qy --purge
