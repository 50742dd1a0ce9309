package oauth

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone answers for names; a function of a name is called for each question of type A, and
// may answer differently each time. It is a resolver as attackers have one.
type zone struct {
	mu    sync.Mutex
	names map[string]func() []string
	asked map[string]int
}

func newZone(fixed map[string]string) *zone {
	z := &zone{names: map[string]func() []string{}, asked: map[string]int{}}
	for name, addrs := range fixed {
		z.names[name] = func() []string { return strings.Fields(addrs) }
	}
	return z
}

// resolver returns a resolver that knows the zone alone.
func (z *zone) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe() // not packets: questions come as over TCP
		serving.Go(func() { z.serve(there) })
		return here, nil
	}}
}

func (z *zone) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		answer, err := z.answer(question)
		if err != nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil { //nolint:gosec // small
			return
		}
	}
}

func (z *zone) answer(raw []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(raw); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: m.Questions,
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	f := z.names[strings.TrimSuffix(q.Name.String(), ".")]
	if f == nil {
		out.RCode = dnsmessage.RCodeNameError
		return out.Pack()
	}
	if q.Type == dnsmessage.TypeA {
		z.asked[strings.TrimSuffix(q.Name.String(), ".")]++
	}
	for _, s := range f() {
		a := netip.MustParseAddr(s)
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case q.Type == dnsmessage.TypeAAAA && !a.Is4():
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return out.Pack()
}
