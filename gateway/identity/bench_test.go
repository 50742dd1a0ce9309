package identity

import (
	"fmt"
	"testing"
)

// BenchmarkAuthenticate is what a request costs: with one key, with many, with a token
// that was seen before, and with one that is new.
func BenchmarkAuthenticate(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("key of %d", n), func(b *testing.B) {
			var c Config
			key := ""
			for i := range n {
				k, hash := NewKey()
				key = k
				c.APIKeys = append(c.APIKeys, APIKey{Principal: "p", Name: fmt.Sprint(i), Hash: hash})
			}
			a := newKit(b, c)
			r := request(key)
			b.ReportAllocs()
			for b.Loop() {
				if _, ch := a.Authenticate(b.Context(), r); ch != nil {
					b.Fatal(ch)
				}
			}
		})
	}
	for _, s := range []*signer{theRSA(), newEC("ec-1")} {
		a := newKit(b, oidc(), newIssuerFake(s))
		r := request(s.token(b, good(nil), nil))
		b.Run(string(s.alg)+" seen", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ch := a.Authenticate(b.Context(), r); ch != nil {
					b.Fatal(ch)
				}
			}
		})
		b.Run(string(s.alg)+" new", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.cache.seen = nil
				if _, ch := a.Authenticate(b.Context(), r); ch != nil {
					b.Fatal(ch)
				}
			}
		})
	}
}
