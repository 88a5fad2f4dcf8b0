// Package pki makes and checks everything that proves who somebody is: the
// cluster's certificate authority, the nodes' certificates, join tokens, and the
// seal of secret parameters.
//
// A node is named by the common name of its certificate and known by its public
// key, which stands in the configuration and survives every renewal. A peer is
// accepted when its certificate was signed by the cluster's own authority; no
// other authority is ever trusted.
//
// Certificates are not the only thing between a cluster and its start: the
// certificate of a pinned member that has run out, or a clock that is wrong after
// a long time without power, is reported and tolerated where a [Check] says so.
package pki
