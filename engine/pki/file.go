package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Names of the files below a directory of [CA.Save] and [Identity.Save].
const (
	FileCA        = "ca.pem"
	FileCAKey     = "ca.key"
	FileNode      = "node.pem"
	FileNodeKey   = "node.key"
	FileRoot      = "root.pem"
	FileRootKey   = "root.key"
	FileSeal      = "seal.key"
	fileAuditNext = "audit.key.next" // is about to take its place
	FileAudit     = "audit.key"      // signs the checkpoints of this node's audit log
	FileRevoked   = "revoked.crl"
	// Of an external store: its authority, and this node's certificate as its client.
	FileStoreCA   = "store-ca.pem"
	FileStoreCert = "store.pem"
	FileStoreKey  = "store.key"
	keyMode       = 0o600
	certMode      = 0o644
	fileMaxBytes  = 1 << 20
)

const (
	pemCert    = "CERTIFICATE"
	pemRequest = "CERTIFICATE REQUEST"
	pemKey     = "PRIVATE KEY"
)

// WriteFile replaces a file as a whole or not at all, also when the power fails:
// written beside it, synced, renamed, and the directory synced.
func WriteFile(path string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, ignoreClosed(f.Close()), ignoreMissing(os.Remove(f.Name()))))
		}
	}()
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes what was created, renamed or removed in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// ReadFile reads a file of certificates or keys, of at most 1 MiB.
func ReadFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > fileMaxBytes {
		return nil, fmt.Errorf("read %s: %d bytes are too many", path, st.Size())
	}
	return os.ReadFile(path)
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// decodePEM returns the first block, which must be of that kind.
func decodePEM(kind string, data []byte) ([]byte, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("not a PEM block %q", kind)
	}
	return block.Bytes, nil
}

// EncodeCert writes certificates as PEM.
func EncodeCert(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(encodePEM(pemCert, c.Raw))
	}
	return b.Bytes()
}

// DecodeCert reads the first certificate of a PEM text.
func DecodeCert(data []byte) (*x509.Certificate, error) {
	der, err := decodePEM(pemCert, data)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// EncodeKey writes a private key as PEM (PKCS #8).
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a private key: %w", err)
	}
	return encodePEM(pemKey, der), nil
}

// DecodeKey reads a private key written by [EncodeKey]. Its errors never show
// any of the text.
func DecodeKey(data []byte) (*ecdsa.PrivateKey, error) {
	der, err := decodePEM(pemKey, data)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("not a private key of PKCS #8")
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a private key of type %T, not ECDSA", key)
	}
	return ec, nil
}

// Save writes the authority below a directory; its key only where it is here.
func (ca *CA) Save(dir string) error {
	if ca.key != nil {
		data, err := EncodeKey(ca.key)
		if err != nil {
			return err
		}
		// The key first: a certificate without its key looks like a node that may not issue.
		if err := WriteFile(filepath.Join(dir, FileCAKey), data, keyMode); err != nil {
			return err
		}
	}
	return WriteFile(filepath.Join(dir, FileCA), EncodeCert(ca.Cert), certMode)
}

// LoadCA reads the authority from a directory; without its key it can check only.
func LoadCA(dir string) (*CA, error) {
	data, err := ReadFile(filepath.Join(dir, FileCA))
	if err != nil {
		return nil, fmt.Errorf("load the cluster's certificate authority: %w", err)
	}
	key, err := ReadFile(filepath.Join(dir, FileCAKey))
	if ignoreMissing(err) != nil {
		return nil, fmt.Errorf("load the key of the cluster's certificate authority: %w", err)
	}
	ca, err := ParseCA(data, key)
	if err != nil {
		return nil, fmt.Errorf("load the cluster's certificate authority from %s: %w", dir, err)
	}
	return ca, nil
}

// ParseCA reads an authority from PEM; key may be nil.
func ParseCA(cert, key []byte) (*CA, error) {
	c, err := DecodeCert(cert)
	if err != nil {
		return nil, err
	}
	if !c.IsCA {
		return nil, fmt.Errorf("the certificate of %s is not that of an authority", c.Subject.CommonName)
	}
	ca := &CA{Cert: c}
	if len(key) == 0 {
		return ca, nil
	}
	if ca.key, err = DecodeKey(key); err != nil {
		return nil, fmt.Errorf("key of the authority: %w", err)
	}
	if pub, err := PublicKeyOf(ca.key); err != nil || pub != PublicKey(c) {
		return nil, errors.Join(errors.New("certificate and key of the authority do not belong together"), err)
	}
	return ca, nil
}

// KeyPEM returns the authority's key, for a new voter and for a backup.
func (ca *CA) KeyPEM() ([]byte, error) {
	if ca.key == nil {
		return nil, errNoKey
	}
	return EncodeKey(ca.key)
}
