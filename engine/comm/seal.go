package comm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

const (
	version    = 1
	saltSize   = 16
	headerSize = 1 + 1 + 8 + saltSize + 8
	overhead   = headerSize + 16 // with the GCM tag

	// MaxPayload is the largest payload that fits into a UDP datagram over IPv4.
	MaxPayload = 65507 - overhead

	// sessionsMax is how many salts of a peer are remembered. More than one, since
	// packets sent before its restart may arrive after the first one of its new
	// life.
	sessionsMax = 4

	windowBits = 1024
)

// Why a packet was dropped.
var (
	errShort   = errors.New("not one of our packets")
	errUnknown = errors.New("sender is not a node of this cluster")
	errLink    = errors.New("sent on another link; check the order of the addresses")
	errForged  = errors.New("not authentic")
	errReplay  = errors.New("replayed or much delayed")
)

// identity is a node's name with what identifies its key.
type identity struct {
	node string
	hash [sha256.Size]byte // of the SPKI
}

// keyID finds the sender of a packet.
type keyID [8]byte

func (id *identity) keyID() keyID { return keyID(id.hash[:8]) }

func identify(node string, key *ecdsa.PublicKey) (identity, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return identity{}, fmt.Errorf("encode the key of %s: %w", node, err)
	}
	return identity{node: node, hash: sha256.Sum256(der)}, nil
}

// ParseKey reads the base64 of a subject public key info: cib.Node.PublicKey.
func ParseKey(text string) (*ecdsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("decode public key: %w", err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("public key is %T, not ECDSA", key)
	}
	return pub, nil
}

// sealer seals and opens the packets between this node and one peer.
type sealer struct {
	self, peer identity
	secret     []byte // of the Diffie-Hellman exchange

	mu   sync.Mutex
	out  session
	sent uint64     // counter of the newest packet
	in   []*session // most recently used first
}

// session is one direction under one salt.
type session struct {
	salt [saltSize]byte
	aead cipher.AEAD
	seen window
}

func newSealer(self, peer identity, private *ecdh.PrivateKey, public *ecdsa.PublicKey) (*sealer, error) {
	pub, err := public.ECDH()
	if err != nil {
		return nil, fmt.Errorf("use the key of %s: %w", peer.node, err)
	}
	if pub.Curve() != private.Curve() {
		return nil, fmt.Errorf("use the key of %s: %v, not %v", peer.node, pub.Curve(), private.Curve())
	}
	secret, err := private.ECDH(pub)
	if err != nil {
		return nil, fmt.Errorf("exchange keys with %s: %w", peer.node, err)
	}
	s := &sealer{self: self, peer: peer, secret: secret}
	if _, err := rand.Read(s.out.salt[:]); err != nil {
		return nil, fmt.Errorf("draw a salt: %w", err)
	}
	s.out.aead, err = derive(secret, s.out.salt[:], &self, &peer)
	return s, err
}

// derive makes the key of one direction. The info is unambiguous: hashes have a
// fixed length, and names hold no zero byte.
func derive(secret, salt []byte, from, to *identity) (cipher.AEAD, error) {
	info := "belay link\x00" + string(from.hash[:]) + string(to.hash[:]) + from.node + "\x00" + to.node
	key, err := hkdf.Key(sha256.New, secret, salt, info, 32)
	if err != nil {
		return nil, fmt.Errorf("derive a link key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use a link key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("use a link key: %w", err)
	}
	return aead, nil
}

// seal makes a packet for one link.
func (s *sealer) seal(link int, payload []byte) []byte {
	s.mu.Lock()
	s.sent++
	counter := s.sent
	s.mu.Unlock()
	b := make([]byte, headerSize, overhead+len(payload))
	b[0], b[1] = version, byte(link)
	copy(b[2:10], s.self.hash[:8])
	copy(b[10:10+saltSize], s.out.salt[:])
	binary.BigEndian.PutUint64(b[headerSize-8:], counter)
	return s.out.aead.Seal(b, nonce(counter), payload, b[:headerSize])
}

func nonce(counter uint64) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[4:], counter)
	return n
}

// sender says whose packet it claims to be.
func sender(packet []byte) (keyID, error) {
	if len(packet) < overhead || packet[0] != version {
		return keyID{}, errShort
	}
	return keyID(packet[2:10]), nil
}

// open checks a packet that claims to be from the peer and returns its payload.
func (s *sealer) open(link int, packet []byte) ([]byte, error) {
	salt := packet[10 : 10+saltSize]
	counter := binary.BigEndian.Uint64(packet[headerSize-8:])
	s.mu.Lock()
	defer s.mu.Unlock()
	var in *session
	for _, x := range s.in {
		if bytes.Equal(x.salt[:], salt) {
			in = x
		}
	}
	known := in != nil
	if !known {
		in = &session{salt: [saltSize]byte(salt)}
		var err error
		if in.aead, err = derive(s.secret, salt, &s.peer, &s.self); err != nil {
			return nil, err
		}
	}
	if in.seen.has(counter) {
		return nil, errReplay
	}
	payload, err := in.aead.Open(nil, nonce(counter), packet[headerSize:], packet[:headerSize])
	switch {
	case err != nil:
		return nil, errForged
	case int(packet[1]) != link:
		return nil, errLink
	}
	in.seen.add(counter)
	if !known || s.in[0] != in {
		s.use(in)
	}
	return payload, nil
}

// use moves a session to the front. Only authentic packets get here, so that
// nobody else can push sessions out.
func (s *sealer) use(in *session) {
	list := []*session{in}
	for _, x := range s.in {
		if x != in && len(list) < sessionsMax {
			list = append(list, x)
		}
	}
	s.in = list
}

// window remembers the last counters of a session (RFC 6479).
type window struct {
	top  uint64 // the highest one
	bits [windowBits / 64]uint64
}

// has reports whether a counter was seen, or is too old to tell.
func (w *window) has(c uint64) bool {
	switch {
	case c == 0:
		return true // none has it
	case c > w.top:
		return false
	case w.top-c >= windowBits-64:
		return true
	}
	return w.bits[c/64%(windowBits/64)]&(1<<(c%64)) != 0
}

func (w *window) add(c uint64) {
	if c > w.top {
		blocks := min(c/64-w.top/64, windowBits/64)
		for i := range blocks {
			w.bits[(w.top/64+1+i)%(windowBits/64)] = 0
		}
		w.top = c
	}
	w.bits[c/64%(windowBits/64)] |= 1 << (c % 64)
}
