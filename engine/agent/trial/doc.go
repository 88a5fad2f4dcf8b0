// Package trial tries an agent out: it runs it through everything that a cluster
// would ask of it, in a scratch host, and says in words what is wrong.
//
// A scratch host (see Run) is a process with mount, network, process, host name and
// IPC namespaces of its own. The files of the machine are there, and what is written
// to them is gone with the host; the network has a loopback and two cables that lead
// to each other. The agent's programs are real, and so is what they start.
package trial
