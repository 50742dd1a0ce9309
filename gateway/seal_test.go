package gateway

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestSealedIDsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	before, err := openSealer(dir)
	if err != nil {
		t.Fatal(err)
	}
	id, err := before.seal(ticket{Nonce: "n", Principal: "iss\x00sub", Version: "2025-06-18", View: "files", Capabilities: []byte(`{"roots":{}}`)})
	if err != nil {
		t.Fatal(err)
	}
	after, err := openSealer(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := after.open(id)
	if err != nil {
		t.Fatalf("open after a restart: %v", err)
	}
	if got.Nonce != "n" || got.Principal != "iss\x00sub" || got.Version != "2025-06-18" || got.View != "files" || string(got.Capabilities) != `{"roots":{}}` {
		t.Errorf("got %+v", got)
	}
	info, err := os.Stat(filepath.Join(dir, "session.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
}

func TestForeignIDsAreRefused(t *testing.T) {
	s, err := openSealer("")
	if err != nil {
		t.Fatal(err)
	}
	good, err := s.seal(ticket{Nonce: "n"})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(good)
	raw[len(raw)-1] ^= 1
	for name, id := range map[string]string{
		"empty": "", "words": "hello", "tampered": base64.RawURLEncoding.EncodeToString(raw), "cut": good[:len(good)-4],
		"long": strings.Repeat("A", 10<<10), "line break": good + "\r\nX: y",
	} {
		if _, err := s.open(id); err != errTicket {
			t.Errorf("%s: %v, want %v", name, err, errTicket)
		}
	}
	other, err := openSealer("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.open(good); err != errTicket {
		t.Errorf("another gateway's id: %v", err)
	}
	if _, err := s.seal(ticket{Capabilities: []byte(`"` + strings.Repeat("x", 8<<10) + `"`)}); err == nil {
		t.Error("sealed an id too long for a header")
	}
}

func TestGatewaysThatStartAtOnceShareAKey(t *testing.T) {
	dir := t.TempDir()
	ids := make([]string, 16)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			s, err := openSealer(dir)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i], _ = s.seal(ticket{Nonce: "n"})
		})
	}
	all.Wait()
	s, err := openSealer(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := s.open(id); err != nil {
			t.Fatal("two gateways made two keys")
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".session.key-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
