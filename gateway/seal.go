package gateway

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// sealer makes session ids that carry their session: an AEAD over what must
// survive a restart, so that any gateway with the key can serve it.
type sealer struct{ aead cipher.AEAD }

// ticket is what a session id carries. It is encrypted, so that a client learns
// nothing from it, and authenticated, so that it can change nothing in it.
type ticket struct {
	Nonce        string          `json:"n"` // unique: tells sessions apart
	Principal    string          `json:"p,omitempty"`
	Version      string          `json:"v"`
	View         string          `json:"u,omitempty"`
	Capabilities json.RawMessage `json:"c,omitempty"`
	Issued       int64           `json:"t"` // Unix seconds
}

const (
	sealContext = "interlock session 1"
	maxTicket   = 6 << 10 // of a sealed id: it travels in a header of every request
)

var errTicket = errors.New("not a session id of ours")

// openSealer reads the key in dir, or makes it there. An empty dir gives a key
// that lives as long as the process.
func openSealer(dir string) (*sealer, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	if dir != "" {
		var err error
		if key, err = keepKey(filepath.Join(dir, "session.key"), key); err != nil {
			return nil, fmt.Errorf("session key: %w", err)
		}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead}, err
}

// keepKey returns the key in the file, after writing fresh to it if there is
// none. Two gateways that start at once agree: the file is linked into place
// whole, and only the first link holds.
func keepKey(path string, fresh []byte) ([]byte, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		tmp, err := os.CreateTemp(filepath.Dir(path), ".session.key-*") // mode 0600
		if err != nil {
			return nil, err
		}
		defer os.Remove(tmp.Name())
		_, err = tmp.Write(fresh)
		if err = errors.Join(err, tmp.Close()); err != nil {
			return nil, err
		}
		if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return keepKey(path, fresh)
	}
	if err != nil {
		return nil, err
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("%s does not hold 32 bytes: remove it to have a new one made (open sessions end)", path)
	}
	return key, nil
}

// seal returns the session id that carries t.
func (s *sealer) seal(t ticket) (string, error) {
	t.Issued = time.Now().Unix()
	plain, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	id := base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(sealContext)))
	if len(id) > maxTicket {
		return "", fmt.Errorf("the client's capabilities are too large for a session id (%d bytes)", len(t.Capabilities))
	}
	return id, nil
}

// open returns what a session id carries; the error is errTicket for any that
// was not sealed by this key.
func (s *sealer) open(id string) (ticket, error) {
	var t ticket
	if len(id) > maxTicket {
		return t, errTicket
	}
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(b) < s.aead.NonceSize() {
		return t, errTicket
	}
	n := s.aead.NonceSize()
	plain, err := s.aead.Open(nil, b[:n], b[n:], []byte(sealContext))
	if err != nil || json.Unmarshal(plain, &t) != nil {
		return ticket{}, errTicket
	}
	return t, nil
}
