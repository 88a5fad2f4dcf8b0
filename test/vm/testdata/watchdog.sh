# A node with a watchdog: it is fed while the engine runs, and resets the machine when not.
set -euo pipefail
step() { echo "step: $(cut -d' ' -f1 /proc/uptime) $*"; }
trap 'echo "failed at line $LINENO: $BASH_COMMAND"; tail -n 20 /run/belayd.log' ERR
export PATH=$BELAY_BIN:$PATH

await() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/run/await.log 2>&1; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "in vain: $*"
			tail -n 5 /run/await.log
			return 1
		fi
		sleep 0.2
	done
}
seconds() { [ "$(cat /sys/class/watchdog/watchdog0/timeout)" = "$1" ]; }
watchdog() { [ "$(cat /sys/class/watchdog/watchdog0/state)" = "$1" ]; }
engine() { # FLAGS...
	belayd "$@" >>/run/belayd.log 2>&1 &
	pid=$!
}
end() {
	kill "$pid"
	wait "$pid"
}

ip link set lo up
modprobe softdog
modprobe dummy
ip link add net0 type dummy
ip addr add 10.20.0.1/24 dev net0
ip link set net0 up
watchdog inactive

step "a cluster of one node"
engine -watchdog ""
await 90 belay cluster init --name vm --node n1 --address 10.20.0.1
cat >/run/cluster.yaml <<'Y'
cluster: {options: {watchdog-timeout: 30s, fencing-required: false}}
resources: {web: {agent: "belay:dummy"}}
Y
await 90 belay apply --merge -f /run/cluster.yaml --force
watchdog inactive
end

step "ended in order: it is let go"
engine
await 90 watchdog active
await 90 seconds 30
end
watchdog inactive

step "killed and started again: fed in time"
engine
await 90 watchdog active
sed -i 's/watchdog-timeout: 30s/watchdog-timeout: 32s/' /run/cluster.yaml
await 90 belay apply --merge -f /run/cluster.yaml --force
await 10 seconds 32 # at once, without a restart
kill -KILL "$pid"
wait "$pid" || true
watchdog active
engine
sleep 40
watchdog active
belay status | head -n 5
step "alive after 40 s"

step "stopped: nobody feeds"
kill -STOP "$pid"
sleep 150
step "the machine still runs"
exit 1
