#!/usr/bin/env bash
# Install Slurm and munge where that is possible without asking anyone: by apt, as root. Says so where it is not.
set -euo pipefail
PATH=$PATH:/usr/sbin
if [ "$(command -v slurmctld slurmd munged sbatch | wc -l)" = 4 ]; then
  echo "Slurm is installed: $(slurmctld -V)"
  exit 0
fi
cannot() { echo "Slurm cannot be installed here ($1): the tests of tests/cluster that need it will be skipped." >&2; exit 1; }
command -v apt-get >/dev/null || cannot "there is no apt-get"
[ "$(id -u)" = 0 ] || cannot "only root may; try: sudo $0"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || cannot "apt-get update failed"
apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null || cannot "apt-get install slurm-wlm munge failed"
echo "Slurm was installed: $(slurmctld -V)"
