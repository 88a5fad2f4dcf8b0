// Package comm carries messages between nodes over redundant UDP links,
// authenticated and encrypted. It decides nothing: which messages are sent, and
// what a message that arrived is worth, is decided by package membership.
//
// # Packets
//
// A packet is a header of 34 bytes and an AES-256-GCM sealed payload:
//
//	version  1   always 1
//	link     1   index of the link it was sent on
//	sender   8   first bytes of the SHA-256 of the sender's public key (SPKI)
//	salt    16   random, drawn for each peer whenever it is added
//	counter  8   rises with every packet under this salt; the GCM nonce
//
// The key is HKDF-SHA256 of the static Diffie-Hellman secret of the two nodes'
// P-256 identity keys, with the salt, and as info the names and key hashes of
// sender and receiver. There is no handshake, so that a node that restarted is
// heard with its first packet.
//
// # What an attacker can do
//
// Somebody on the network, who has no node's key:
//
//   - He can't read, forge or change packets, nor turn one back to its sender, nor
//     carry it to another link or node: names, direction, link and counter are
//     bound by key or header.
//   - He can drop and delay packets, which is no more than the network can do.
//   - He can replay a packet after its receiver restarted, or after he replayed
//     packets of [sessionsMax] older salts of the same sender: before, the window of
//     counters refuses it. Then it stays a packet of the past: membership counts a
//     peer as heard, and an echo for validity, only when it names a nonce that this
//     process drew a moment ago.
//   - He sees who sends how much to whom, and which of two packets are from the
//     same node. Names and contents are hidden.
//   - He can make a receiver derive a key and check a packet in vain, some
//     microseconds each. What fails is counted and dropped. The port should be
//     closed for everybody but the nodes all the same.
//
// Somebody who gets a node's private key can act as this node until its key is
// taken out of the configuration; from then on its packets are dropped by
// everybody who has read that. He can also read all packets from and to this node
// that he recorded: heartbeats have no forward secrecy. That is acceptable because
// they hold node names, numbers and states that are stale within seconds, and no
// secrets; a key exchange would cost round trips just when a node comes back.
//
// The identity keys also sign in TLS. Signing with a P-256 key and static
// Diffie-Hellman with the same key do not weaken each other as long as the secret
// is only used through a key derivation, as here (Degabriele and others, On the
// Joint Security of Encryption and Signature in EMV, 2012).
package comm
