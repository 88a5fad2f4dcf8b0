# One disk, two initiators: what reservations do.
set -euo pipefail
step() { echo "step: $(cut -d' ' -f1 /proc/uptime) $*"; }
trap 'echo "failed at line $LINENO: $BASH_COMMAND"' ERR

step "a target with a disk of 16 MB"
ip link set lo up
mkdir -p /etc/target/pr /var/target/pr # where the target keeps reservations
for m in configfs target_core_mod iscsi_target_mod iscsi_tcp sd_mod; do modprobe "$m"; done
mount -t configfs configfs /sys/kernel/config
truncate -s 16M /run/disk
target=/sys/kernel/config/target
mkdir -p "$target/core/fileio_0/disk"
echo "fd_dev_name=/run/disk,fd_dev_size=16777216" >"$target/core/fileio_0/disk/control"
echo 1 >"$target/core/fileio_0/disk/enable"
iqn=iqn.2026-01.test.belay
tpg=$target/iscsi/$iqn:disk/tpgt_1
mkdir -p "$tpg/lun/lun_0" "$tpg/np/127.0.0.1:3260"
ln -s "$target/core/fileio_0/disk" "$tpg/lun/lun_0/disk"
for who in n1 n2; do
	mkdir -p "$tpg/acls/$iqn:$who/lun_0"
	ln -s "$tpg/lun/lun_0" "$tpg/acls/$iqn:$who/lun_0/disk"
done
echo 0 >"$tpg/attrib/authentication"
echo 1 >"$tpg/enable"

step "two initiators"
n1='' n2=''
mkdir -p /etc/iscsi /run/lock/iscsi
echo "InitiatorName=$iqn:host" >/etc/iscsi/initiatorname.iscsi
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets /etc/iscsi/ifaces /var/lib/iscsi
iscsid
for who in n1 n2; do
	iscsiadm -m iface -o new -I "$who"
	iscsiadm -m iface -o update -I "$who" -n iface.initiatorname -v "$iqn:$who"
done
iscsiadm -m discovery -t sendtargets -p 127.0.0.1 -I n1 -I n2
for who in n1 n2; do
	iscsiadm -m node -I "$who" -l
	for _ in $(seq 100); do
		disk=$(find /dev -maxdepth 1 -name 'sd?' | sort | tail -n 1)
		[ -n "$disk" ] && [ "$disk" != "$n1" ] && break
		sleep 0.1
	done
	declare "$who=$disk"
done
step "disk of n1 $n1, of n2 $n2"
[ -b "$n1" ] && [ -b "$n2" ] && [ "$n1" != "$n2" ]

step "race for a tie"
"$GUEST" race "$n1" "$n2"
sg_persist --in --read-keys "$n1"

step "fence_scsi: n1 fences n2"
write() { dd if=/dev/zero of="$1" bs=4096 count=1 oflag=direct status=none; }
for disk in "$n1" "$n2"; do
	sg_persist --out --register-ignore --param-sark=0 "$disk" || true # the tie-breaker's keys
done
sg_persist --out --register-ignore --param-sark=0x1 "$n1"
sg_persist --out --clear --param-rk=0x1 "$n1"
fence() { # ACTION DISK KEY
	printf 'action=%s\ndevices=%s\nkey=%s\n' "$1" "$2" "$3" | fence_scsi
}
fence on "$n2" 2
fence on "$n1" 1 # last: the agent keeps the key of the machine that it runs on
write "$n1"
write "$n2"
fence off "$n1" 2
write "$n1"
if write "$n2"; then
	echo "n2 writes though it is fenced"
	exit 1
fi
status=0
fence status "$n1" 2 || status=$?
[ "$status" = 2 ] # off
step "unfenced"
fence on "$n2" 2
write "$n2"
