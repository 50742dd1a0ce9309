package upstream

import (
	"sync/atomic"
	"testing"
)

// BenchmarkStdioDo is one call to a child process, which does next to nothing,
// and back.
func BenchmarkStdioDo(b *testing.B) {
	l := startFake(b, fakeDial(b, "fast"))
	r := toolCall(b, "echo", `{"text":"hello"}`, "")
	b.Run("one caller", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.Do(b.Context(), r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 callers", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		var failed atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := l.Do(b.Context(), r); err != nil {
					failed.Add(1)
				}
			}
		})
		if failed.Load() > 0 {
			b.Error(failed.Load(), "calls failed")
		}
	})
}
