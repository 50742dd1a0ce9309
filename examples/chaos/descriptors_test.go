package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// F28: the gateway has no descriptors left. Calls of those who are connected go
// on; it says what is wrong, and not over and over; a server that ends meanwhile
// runs again once there are descriptors; all is well afterwards.
func TestNoDescriptors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ulimit and /proc are used")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "il")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s := &stand{dir: dir, ledger: newLedger(), upstreams: make(map[string]map[string]any), web: &http.Client{Transport: new(http.Transport)}, row: &row{Fault: "F28"}}
	defer s.close()
	if err := s.fail(2, kind{}, nil); err != nil {
		t.Fatal(err)
	}
	if s.gateway, err = newGateway(interlock, dir, s.upstreams); err != nil {
		t.Fatal(err)
	}
	s.gateway.files = 64
	if err := s.gateway.start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.sick {
		if err := s.state(ctx, p, "running"); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.client(ctx, "s")
	if err != nil {
		t.Fatal(err)
	}
	if said := s.sickCall(ctx, c, s.sick[0], 1); said != answered {
		t.Fatalf("at first: %d", said)
	}
	// More connections than it has descriptors: some are only in the backlog.
	began := time.Now()
	var open []net.Conn
	for range 100 {
		conn, err := net.Dial("tcp", s.gateway.addr)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if err := s.gateway.await(ctx, "out of descriptors", func() bool { return strings.Contains(s.gateway.log.String(), "too many open files") }); err != nil {
		t.Fatal(err)
	}
	if said := s.sickCall(ctx, c, s.sick[1], 2); said != answered {
		t.Errorf("who was connected before: %d", said)
	}
	if child, err := os.FindProcess(s.sick[0].pid()); err == nil {
		_ = child.Kill()
	}
	for n := range 20 { // whatever it is told, the ledger has a look at it
		s.sickCall(ctx, c, s.sick[0], 3+n)
	}
	wait(ctx, 3*time.Second)
	// It says so once a minute.
	n, most := strings.Count(s.gateway.log.String(), "Accept error"), 1+int(time.Since(began)/time.Minute)
	if n < 1 || n > most {
		t.Errorf("the log says %d times that clients cannot connect, want 1 to %d:\n%s", n, most, s.gateway.log)
	}
	for _, conn := range open {
		conn.Close()
	}
	for _, p := range s.sick {
		if err := s.state(ctx, p, "running"); err != nil {
			t.Fatal(err)
		}
		if said := s.sickCall(ctx, c, p, 1_000_000+s.clients); said != answered {
			t.Errorf("%s afterwards: %d", p.name, said)
		}
		s.clients++
	}
	s.web.CloseIdleConnections()
	if _, err := s.gateway.stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(s.gateway.log.String(), "panic") {
		t.Errorf("%s", s.gateway.log)
	}
	if err := s.settle(); err != nil {
		t.Error(err)
	}
	if err := s.ledger.err(); err != nil {
		t.Error(err)
	}
}
