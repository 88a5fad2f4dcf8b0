// Package lab builds virtual hosts on one machine, for tests that need the real thing: processes,
// mounts, links, power switches, and machines that die.
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
//
//	func TestFailOver(t *testing.T) {
//		l := lab.Start(t, lab.Config{Hosts: 3, Boot: startDaemons})
//		if err := l.PowerOnAll(t.Context()); err != nil { ... }
//		watch := l.WatchHTTP("http://10.77.0.100/")
//		...
//		_ = l.Host(1).PowerOff()
//		gap, err := watch.WaitRecovery(ctx, l.Host(1).OffAt(), 100*time.Millisecond)
//	}
//
// The command belay-lab drives a lab from the shell.
//
// # Hosts
//
// A host is a set of namespaces (network, pid, mount, uts, ipc, cgroup) whose whole life is that of
// one init process. Power-off pulls the links and kills that init with SIGKILL; the kernel then ends
// every other process of the host, and its links and mounts with them. Nothing is flushed, stopped
// or told. The root is an overlay: the machine's own root below, and a directory of the host above
// it. That directory is the host's disk and survives power-off. /run, /tmp and /dev/shm do not.
// PID 1 is a small reaper, or a real systemd (Config.Systemd).
//
// # Networks
//
// Every host has a link on every network of the lab: eth0, eth1, and so on. A network is a bridge in
// a network namespace that belongs to the lab (the switch), so the machine's own links and routes
// are never touched, and labs with the same addresses run side by side. The lab has the address
// ending in .254 on each network; Lab.DialContext, the watches and the power switches are there.
// Faults are made in the switch, by port: frames from one host to another vanish whatever their
// address, so virtual addresses and ARP are cut too, and a cut survives the reboot of a host.
//
// # Cleanup
//
// Enter must be called first in main or TestMain. It runs the program again as PID 1 of a pid and
// mount namespace, so that everything the lab makes ends with the program, however it ends. A
// janitor process outside removes the control groups and directories afterwards.
//
// # Without root
//
// When the program is not run by root, Enter adds a user namespace in which it is. Hosts then keep
// their disks, links, faults and power, with these limits, all for lack of rights in the kernel:
// only one user id exists (no daemon can change its user), files that belong to the machine's root
// cannot be changed in place except below /etc (new files and replaced files work), there are no
// loop devices and no systemd hosts, and a hung host is one whose processes are stopped.
//
// # Pitfalls
//
// The machine's root is live below the hosts: after installing software on the machine, hosts must
// be powered off and on to see it. Other file systems mounted on the machine are not seen by hosts,
// except through Config.Binds. All hosts share the machine's clock and kernel; the rights to set the
// clock and to load modules are taken away, /proc/sys is read-only except for net, and writing to
// /proc/sysrq-trigger resets the host, not the machine.
package lab
