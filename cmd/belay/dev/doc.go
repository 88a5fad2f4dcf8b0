// Package dev is "belay dev": a whole cluster on this machine, to try and to
// test against.
//
// One process, the supervisor, starts a "machine" for each node: a process that
// runs belayd and holds together everything that is started on the node. Machine
// and supervisor are child subreapers (prctl(2)), so no process of a node can
// leave its tree:
//
//	belay dev                      supervisor: fence device, dev.json, display
//	  belay dev machine (n1)       one boot of n1; its end is the end of the boot
//	    belayd                     dies with the machine
//	      belayd etcd
//	      a resource               its session is its own; outlives belayd
//	    a resource                 started by an earlier belayd of the same boot
//	  belay dev machine (n2)
//	  ...
//
// A machine is off when not one process of its tree is left. A machine that is
// killed by hand leaves its processes to the supervisor, which ends them at once:
// kill -9 of a machine is the loss of its power.
package dev
