package vault

import "testing"

func BenchmarkVault(b *testing.B) {
	v, err := Open(Options{Dir: b.TempDir(), Where: InFile})
	if err != nil {
		b.Fatal(err)
	}
	a := account("a", "", 1)
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			if err := v.Put(b.Context(), a); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("account", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.Account(b.Context(), a.Key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
