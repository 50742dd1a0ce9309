//go:build unix

package plugin

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/interlock-mcp/interlock/policy"
)

// testEcho makes the test binary a bare gRPC server on the socket that it names.
const testEcho = "INTERLOCK_TEST_ECHO"

// BenchmarkChain is what a plugin adds to a call, in the median, beside a bare gRPC
// echo of the same payload over the same kind of socket to another process, taken in
// turns. The bars: 300 µs, and 4 times the echo.
func BenchmarkChain(b *testing.B) {
	for _, c := range []struct {
		name, hooks string
		size        int
	}{
		{"empty", "", 256},
		{"before", "b", 256},
		{"both", "ba", 256},
		{"both", "ba", 64 << 10},
	} {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.size), func(b *testing.B) {
			payload := bytes.Repeat([]byte("x"), c.size)
			var steps []policy.Step
			if c.hooks != "" {
				conf := config(b)
				conf.Config = map[string]any{"hooks": c.hooks}
				p, _ := started(b, conf)
				steps = append(steps, policy.Step{Name: "p", Policy: p})
			}
			chain := policy.NewChain(nil, steps...)
			echo := startEcho(b)
			call := func() {
				call := request(b, "allow", `{"text":"`+string(payload)+`"}`)
				call.Definition = nil
				a := answer(b, `{"jsonrpc":"2.0","id":1,"result":{"text":"`+string(payload)+`"}}`)
				began := time.Now()
				chain.Enter()
				if err := chain.Before(b.Context(), call); err != nil {
					b.Fatal(err)
				}
				if err := chain.After(b.Context(), call, a); err != nil {
					b.Fatal(err)
				}
				chain.Done(call)
				took = append(took, time.Since(began))
			}
			for range 200 { // connections and heaps warm up
				call()
				echo(b, payload)
			}
			took = took[:0]
			var bare []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				call()
				began := time.Now()
				echo(b, payload)
				bare = append(bare, time.Since(began))
			}
			added, alone := median(took), median(bare)
			b.ReportMetric(float64(added.Nanoseconds())/1000, "p50-µs")
			b.ReportMetric(float64(alone.Nanoseconds())/1000, "echo-p50-µs")
			b.ReportMetric(float64(added)/float64(alone), "ratio")
			took = took[:0]
		})
	}
}

// took are the times of the calls of a benchmark.
var took []time.Duration

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// startEcho starts the bare server and returns a call of it.
func startEcho(b *testing.B) func(*testing.B, []byte) {
	b.Helper()
	dir, err := os.MkdirTemp("", "echo")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	self, _ := os.Executable()
	cmd := exec.CommandContext(b.Context(), self)
	cmd.Env = []string{testEcho + "=" + socket}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil { // it listens
		b.Fatal(err)
	}
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return func(b *testing.B, payload []byte) {
		b.Helper()
		var back wrapperspb.BytesValue
		if err := conn.Invoke(b.Context(), "/test.Echo/Echo", wrapperspb.Bytes(payload), &back); err != nil {
			b.Fatal(err)
		}
	}
}

// echoMain is the bare server.
func echoMain(socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			return in, dec(in)
		}}},
	}, struct{}{})
	fmt.Println("ready")
	return s.Serve(l)
}
