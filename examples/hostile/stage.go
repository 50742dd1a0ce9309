package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// stage is where stories are played.
type stage struct {
	dir    string // for all that they write
	binary string // interlock
	self   string // this program, which is the servers
	log    io.Writer
	played int
}

// scene is one story being played.
type scene struct {
	*stage
	ctx     context.Context //nolint:containedctx // of the play, which the scene does not outlive
	guarded bool            // with the policy
	dir     string          // whose path is short: it holds a socket
	files   []string        // the configuration
	env     []string
	loot    string // what the attacker got hold of
	key     string // the client's, which the configurations know by its hash

	gateway *exec.Cmd
	out     *bufio.Scanner
}

// play plays a story, with the policy or without, and clears up.
func (st *stage) play(ctx context.Context, s story, guarded bool) (ending, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	st.played++
	sc := &scene{stage: st, ctx: ctx, guarded: guarded, dir: filepath.Join(st.dir, fmt.Sprint(st.played))}
	if err := os.Mkdir(sc.dir, 0o700); err != nil {
		return ending{}, err
	}
	sc.loot = filepath.Join(sc.dir, "loot")
	names := []string{s.name + ".yaml"}
	if guarded {
		names = append(names, s.name+".policy.yaml")
	}
	for _, name := range names {
		text, err := configs.ReadFile(name)
		if err != nil {
			return ending{}, err
		}
		file := filepath.Join(sc.dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return ending{}, err
		}
		sc.files = append(sc.files, "-c", file)
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it does not fail
	sc.key = "ilk_" + hex.EncodeToString(random)
	sc.env = append(os.Environ(), fmt.Sprintf("KEY_HASH=sha256:%x", sha256.Sum256([]byte(sc.key))), "HOSTILE="+st.self, "LOOT="+sc.loot, "GORACE=atexit_sleep_ms=0",
		"INTERLOCK_SERVER__LISTEN=127.0.0.1:0", "INTERLOCK_STATE_DIR="+filepath.Join(sc.dir, "state"))
	end, err := s.play(ctx, sc)
	return end, errors.Join(err, sc.stop())
}

// start runs the gateway and blocks until all servers are ready. It returns the
// endpoint.
func (s *scene) start() (endpoint string, err error) {
	s.gateway = exec.CommandContext(context.WithoutCancel(s.ctx), s.binary, append([]string{"serve"}, s.files...)...)
	s.gateway.Env, s.gateway.Stderr = s.env, s.log
	s.gateway.WaitDelay = time.Second
	out, err := s.gateway.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := s.gateway.Start(); err != nil {
		return "", err
	}
	s.out = bufio.NewScanner(out)
	said := []string{"interlock serve ended:"}
	for s.out.Scan() {
		line := s.out.Text()
		said = append(said, line)
		fmt.Fprintln(s.log, line)
		if rest, ok := strings.CutPrefix(line, "endpoint  "); ok {
			endpoint = rest
		}
		if strings.Contains(line, " ready, ") && endpoint != "" {
			return endpoint, nil
		}
	}
	return "", errors.New(strings.Join(said, "\n"))
}

// stop ends the gateway, if it runs.
func (s *scene) stop() error {
	if s.gateway == nil {
		return nil
	}
	gateway := s.gateway.Process
	terminate(gateway)
	late := time.AfterFunc(time.Minute, func() { _ = gateway.Kill() })
	defer late.Stop()
	for s.out.Scan() { // it must not wait for a reader
		fmt.Fprintln(s.log, s.out.Text())
	}
	err := s.gateway.Wait()
	s.gateway = nil
	return err
}

// got is what the attacker got hold of so far.
func (s *scene) got() (string, error) {
	b, err := os.ReadFile(s.loot)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}

// enter starts the gateway and lets an agent in, with a token if there is one.
func (s *scene) enter(ctx context.Context, token string) (*agent, error) {
	endpoint, err := s.start()
	if err != nil {
		return nil, err
	}
	return newAgent(ctx, endpoint, token)
}

// end says whether what the attacker got has the text in it.
func (s *scene) end(a *agent, has, worked string) (ending, error) {
	got, err := s.got()
	if err != nil {
		return ending{}, err
	}
	if strings.Contains(got, has) {
		return ending{true, worked}, nil
	}
	return ending{false, a.refusals()}, nil
}
