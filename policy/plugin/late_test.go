package plugin

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A plugin that was late was once taken for one that answered: its end of the
// stream noticed the deadline before ours.
func TestTooLate(t *testing.T) {
	near, cancel := context.WithTimeout(t.Context(), deadlineSkew/2)
	defer cancel()
	far, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		code codes.Code
		want bool
	}{
		"our end":              {over, codes.Canceled, true},
		"its end":              {near, codes.Canceled, true},
		"its end, by its name": {near, codes.DeadlineExceeded, true},
		"it failed":            {near, codes.Internal, false},
		"its own deadline":     {far, codes.DeadlineExceeded, false},
		"no deadline":          {t.Context(), codes.Canceled, false},
	} {
		if got := tooLate(c.ctx, status.Error(c.code, "x")); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
