// Package indication delivers indications to listeners by CIM-XML export (DSP0200,
// 5.6): events of the ring as Belay_ClusterEvent, and the making, changing and removing of
// instances as lifecycle indications.
//
// One node of the cluster sends, the DC. How far a subscription is stands in a cursor in
// the store, so that the next DC goes on from there. A delivery is at least once: what
// comes again has the same SequenceContext and SequenceNumber (DSP1054, 7.10). What comes
// later never overtakes.
package indication
