package plugin

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A plugin that was late was once taken for one that answered: its end of the
// stream noticed the deadline before ours.
func TestTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no time passes between the deadline's making and its judging
		near, cancel := context.WithTimeout(t.Context(), deadlineSkew/2)
		defer cancel()
		far, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		check := func(name string, ctx context.Context, code codes.Code, want bool) {
			t.Helper()
			if got := tooLate(ctx, status.Error(code, "x")); got != want {
				t.Errorf("%s: %v", name, got)
			}
		}
		check("our end", over, codes.Canceled, true)
		check("its end", near, codes.Canceled, true)
		check("its end, by its name", near, codes.DeadlineExceeded, true)
		check("it failed", near, codes.Internal, false)
		check("its own deadline", far, codes.DeadlineExceeded, false)
		check("no deadline", t.Context(), codes.Canceled, false)
	})
}
