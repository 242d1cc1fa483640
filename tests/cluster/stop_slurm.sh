#!/usr/bin/env bash
# End a cluster of start_slurm.sh, its jobs first, and leave no process behind: stop_slurm.sh FOLDER
set -uo pipefail
folder=$(realpath -m "${1:?the folder that the cluster was started with}")
export SLURM_CONF=$folder/slurm.conf

# A zombie, which nobody has asked how it ended, counts as gone.
alive() { [ -r "/proc/$1/stat" ] && ! grep -q '^[^)]*) Z' "/proc/$1/stat"; }

if scontrol ping >/dev/null 2>&1; then
  scancel --quiet --user="$(id -un)"
  for _ in $(seq 100); do
    [ -z "$(squeue --noheader 2>/dev/null)" ] && break
    sleep 0.1
  done
fi
pids=()
for file in "$folder"/*.pid "$folder/munge/pid"; do
  [ -s "$file" ] && pids+=("$(tr -cd 0-9 <"$file")")
done
for signal in TERM KILL; do
  for pid in "${pids[@]}"; do kill -s "$signal" "$pid" 2>/dev/null; done
  for _ in $(seq 100); do
    left=0
    for pid in "${pids[@]}"; do alive "$pid" && left=1; done
    [ "$left" = 0 ] && exit 0
    sleep 0.1
  done
done
echo "still running: ${pids[*]}" >&2
exit 1
