#!/usr/bin/env bash
# Install Slurm and munge where that is possible without asking anyone: by apt, as root or by a sudo that asks for no
# password. Says so where it is not.
set -euo pipefail
PATH=$PATH:/usr/sbin
if [ "$(command -v slurmctld slurmd munged sbatch | wc -l)" = 4 ]; then
  echo "Slurm is installed: $(slurmctld -V)"
  exit 0
fi
cannot() { echo "Slurm cannot be installed here ($1): the tests of tests/cluster that need it will be skipped." >&2; exit 1; }
command -v apt-get >/dev/null || cannot "there is no apt-get"
as_root=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || cannot "only root may; try: sudo $0"
  as_root=(sudo -n "${as_root[@]}")
fi
"${as_root[@]}" apt-get update -qq || cannot "apt-get update failed"
"${as_root[@]}" apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null ||
  cannot "apt-get install slurm-wlm munge failed"
echo "Slurm was installed: $(slurmctld -V)"
