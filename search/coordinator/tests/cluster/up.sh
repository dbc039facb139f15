#!/bin/sh
# up.sh DIR PORT: a Slurm controller with two nodes, and an ssh server, all on this machine and all in DIR. PORT is the
# beginning of the ports' numbers, four digits. Needs root, and Debian's slurm-wlm, munge and openssh-server.
# Afterwards `. DIR/env` makes srun, sbatch and `ssh localhost` use them; `sh DIR/down.sh` ends them.
set -eu
dir=$1 port=$2 here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir/state" "$dir/run" "$dir/log" "$dir/spool-n1" "$dir/spool-n2" "$dir/bin"
chmod 755 "$dir"
# It waits until they have written what they write at their end.
echo "kill \$(cat $dir/pids) 2>/dev/null; sleep 2; true" > "$dir/down.sh"

# Slurm's messages are signed by munge; one for the whole machine is enough.
if ! munge -n >/dev/null 2>&1; then
    install -d -o munge -g munge /run/munge
    runuser -u munge -- /usr/sbin/munged
fi
sed "s|@DIR@|$dir|; s|@HOST@|$(hostname)|; s|@PORT@|$port|" "$here/slurm.conf.in" > "$dir/slurm.conf"
export SLURM_CONF="$dir/slurm.conf"
: > "$dir/pids"
start() {
    "$@" >> "$dir/log/out" 2>&1 < /dev/null &
    echo $! >> "$dir/pids"
}
start /usr/sbin/slurmctld -D
start /usr/sbin/slurmd -D -N n1
start /usr/sbin/slurmd -D -N n2

# A server and a key of its own. `ssh` finds both by a wrapper.
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
cat > "$dir/sshd_config" <<END
ListenAddress 127.0.0.1
Port ${port}3
HostKey $dir/host_key
AuthorizedKeysFile $dir/key.pub
PidFile none
StrictModes no
UsePAM no
MaxStartups 100
END
cat > "$dir/ssh_config" <<END
Host localhost 127.0.0.1
    Port ${port}3
    IdentityFile $dir/key
    UserKnownHostsFile /dev/null
    StrictHostKeyChecking no
    LogLevel ERROR
END
start /usr/sbin/sshd -D -f "$dir/sshd_config"
printf '#!/bin/sh\nexec /usr/bin/ssh -F %s/ssh_config "$@"\n' "$dir" > "$dir/bin/ssh"
chmod 755 "$dir/bin/ssh"
printf 'export SLURM_CONF=%s/slurm.conf PATH=%s/bin:$PATH\n' "$dir" "$dir" > "$dir/env"

for _ in $(seq 100); do
    if [ "$(sinfo --noheader --states=idle --format=%D 2>/dev/null)" = 2 ] && "$dir/bin/ssh" localhost true; then
        exit 0
    fi
    sleep 0.2
done
echo "the nodes did not come up:" >&2
tail -n 20 "$dir"/log/* >&2
sh "$dir/down.sh"
exit 1
