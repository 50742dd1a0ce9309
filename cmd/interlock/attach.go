package main

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
)

// attach lets in a client that a bridge carries. It must mean the configuration
// that the gateway was started with: two of them may share a state folder, and
// with it the socket.
func (s *service) attach(files []string) (func(context.Context, io.Reader, io.Writer) error, error) {
	if len(files) > 0 && !slices.Equal(files, s.roots) {
		return nil, &admin.Error{
			Code:   admin.CodeOtherConfig,
			Detail: "the gateway that runs with this state_dir serves " + strings.Join(s.roots, ", ") + ", not " + strings.Join(files, ", "),
			Mend:   "give one of the configurations a state_dir of its own",
		}
	}
	if ok, waiting := s.gw.Ready(); !ok && slices.Equal(waiting, []string{"draining"}) {
		return nil, &admin.Error{Code: admin.CodeDraining, Detail: "the gateway is shutting down"}
	}
	return s.gw.Attach, nil
}

// rootFiles are the configuration files that were named, or the one that was
// found, in a form that is the same for all who mean them.
func rootFiles(named []string, cfg *config.Config) []string {
	if len(named) == 0 && len(cfg.Sources) > 0 {
		named = cfg.Sources[:1]
	}
	roots := make([]string, len(named))
	for i, f := range named {
		roots[i] = f
		if abs, err := filepath.Abs(f); err == nil {
			roots[i] = abs
		}
		if real, err := filepath.EvalSymlinks(roots[i]); err == nil {
			roots[i] = real
		}
	}
	return roots
}
