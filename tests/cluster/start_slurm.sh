#!/usr/bin/env bash
# Start a Slurm cluster of one computer for tests: start_slurm.sh FOLDER CONTROLLER_PORT NODE_PORT [NODES]
#
# Everything it keeps is in FOLDER, munge's key and socket too, so that clusters do not meet and a system's own Slurm
# is left alone. Clients need SLURM_CONF=FOLDER/slurm.conf. NODES (1) daemons pretend to be as many computers, at ports
# from NODE_PORT on. stop_slurm.sh FOLDER ends it. No systemd, no accounting; any user, for jobs of that user.
set -euo pipefail
folder=$(realpath -m "${1:?a folder for its state}")
controller_port=${2:?a free port for the controller}
node_port=${3:?a free port for the node}
nodes=${4:-1}
here=$(cd "$(dirname "$0")" && pwd)
host=$(hostname -s)
user=$(id -un)
PATH=$PATH:/usr/sbin
export SLURM_CONF=$folder/slurm.conf

mkdir -p "$folder"/{controller,log,munge}
chmod 755 "$folder" "$folder/munge"   # munge wants its socket to be reached, and its files to be its own

# srun and torchrun look the node's name up.
if ! getent hosts "$host" >/dev/null; then
  [ -w /etc/hosts ] || { echo "the name of this computer, $host, has no address: add it to /etc/hosts" >&2; exit 1; }
  echo "127.0.0.1 $host" >>/etc/hosts
fi

# A munged of its own, with a key that only this cluster knows. Root is allowed because nothing else uses it.
(umask 077; head -c 1024 /dev/urandom >"$folder/munge/key")
munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
  --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed" --num-threads=2

# cred_expire: a job that is queued again waits until its credential has expired, 120 s if nothing is said.
# RequeueExit: a batch script that ends with 85, as a training does that heard SIGUSR1, is queued again.
cat >"$SLURM_CONF" <<CONF
ClusterName=maskrf_test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
SlurmctldPort=$controller_port
SlurmctldPidFile=$folder/controller.pid
SlurmctldLogFile=$folder/log/controller.log
StateSaveLocation=$folder/controller
SlurmdPidFile=$folder/%n.pid
SlurmdLogFile=$folder/log/%n.log
SlurmdSpoolDir=$folder/%n
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
RequeueExit=85
KillWait=5
CONF
names=()
for number in $(seq "$nodes"); do
  name=$host
  [ "$number" = 1 ] || name=$host-$number
  names+=("$name")
  mkdir -p "$folder/$name"
  echo "NodeName=$name NodeHostname=$host NodeAddr=127.0.0.1 Port=$((node_port + number - 1)) CPUs=$(env -u OMP_NUM_THREADS nproc)" \
    "RealMemory=8000 State=UNKNOWN" >>"$SLURM_CONF"
done
echo "PartitionName=test Nodes=$(IFS=,; echo "${names[*]}") Default=YES MaxTime=INFINITE State=UP" >>"$SLURM_CONF"

slurmctld -f "$SLURM_CONF"
for name in "${names[@]}"; do slurmd -f "$SLURM_CONF" -N "$name"; done
for _ in $(seq 200); do
  [ "$(sinfo --noheader --Node --states=idle 2>/dev/null | wc -l)" = "$nodes" ] && exit 0
  sleep 0.1
done
echo "the nodes did not become idle within 20 s; see $folder/log" >&2
"$here/stop_slurm.sh" "$folder"
exit 1
