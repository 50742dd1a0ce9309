package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// means refuses who means a configuration that the gateway was not started with:
// two of them may share a state folder, and with it the socket.
func (s *service) means(files []string) error {
	for _, f := range files {
		if !slices.Contains(s.roots, f) {
			return s.other(files)
		}
	}
	return nil
}

func (s *service) other(files []string) error {
	return &admin.Error{
		Code:   admin.CodeOtherConfig,
		Detail: "the gateway that runs with this state_dir serves " + strings.Join(s.roots, ", ") + ", not " + strings.Join(files, ", "),
		Mend:   "give one of the configurations a state_dir of its own",
	}
}

// attach lets in a client that a bridge carries. It must mean the very
// configuration that the gateway was started with.
func (s *service) attach(files []string, profile string) (func(context.Context, io.Reader, io.Writer) error, error) {
	if len(files) > 0 && !slices.Equal(files, s.roots) {
		return nil, s.other(files)
	}
	if s.gw.Draining() {
		return nil, &admin.Error{Code: admin.CodeDraining, Detail: "the gateway is shutting down"}
	}
	if err := s.gw.HasProfile(profile); err != nil {
		return nil, err
	}
	return func(ctx context.Context, in io.Reader, out io.Writer) error {
		return s.gw.AttachIn(ctx, profile, in, out)
	}, nil
}
