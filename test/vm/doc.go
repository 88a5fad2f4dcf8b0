// Package vm runs virtual machines for what the lab's hosts cannot have, since they share
// the machine's kernel: a watchdog that resets it, and shared disks with reservations.
//
// A machine is emulated, without hardware help, so that it runs anywhere; it is some ten to
// thirty times slower. Its kernel is Debian's, fetched as a package but not installed. Its
// root is the root of the machine that tests, read-only over 9p with a layer of memory
// above, so that it has every program at the same place; nothing that it writes is kept.
// Its first process is test/vm/guest, which runs one script of bash and switches off.
package vm
