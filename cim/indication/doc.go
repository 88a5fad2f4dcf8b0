// Package indication is how what happens becomes indications, and how these get to WBEM
// listeners by CIM-XML export (DSP0200, 5.6): events of the ring as Belay_ClusterEvent, and
// the making, changing and removing of instances as lifecycle indications.
//
// Package outbox decides when one is sent. A delivery is at least once: what comes again
// has the same SequenceContext and SequenceNumber (DSP1054, 7.10). What comes later never
// overtakes.
package indication
