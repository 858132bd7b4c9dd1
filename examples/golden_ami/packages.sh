# What every machine of ours has. cloud-init may still be at work on an instance that has just begun to run.
if command -v cloud-init >/dev/null; then
    cloud-init status --wait >/dev/null || true
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends chrony
