package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// writerDir and writerName make the test binary a process that puts an account over and
// over and says its number after each time, or holds a lock.
const (
	writerDir  = "VAULT_TEST_WRITER"
	writerName = "VAULT_TEST_NAME"
	writerMany = "VAULT_TEST_MANY"
)

func writerMain() int {
	v, err := Open(Options{Dir: os.Getenv(writerDir), Where: InFile})
	if err == nil && os.Getenv(writerMany) == "lock" {
		if _, err = v.Lock(context.Background(), oauth.Key{Upstream: "a"}); err == nil {
			fmt.Println("locked")
			select {}
		}
	}
	many, _ := strconv.Atoi(os.Getenv(writerMany))
	for i := 1; err == nil && i <= many; i++ {
		if err = v.Put(context.Background(), account(os.Getenv(writerName), "", i)); err == nil {
			fmt.Println(i)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// writer starts such a process.
func writer(t *testing.T, dir, name, many string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerDir+"="+dir, writerName+"="+name, writerMany+"="+many, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// Processes that write at once lose nothing of each other, and who reads meanwhile finds
// one account or the next.
func TestProcesses(t *testing.T) {
	dir := t.TempDir()
	v := opened(t, dir, InFile, nil)
	const many = 15
	names := []string{"a", "b", "c"}
	for _, n := range names {
		put(t, v, account(n, "", 0))
	}
	var writers sync.WaitGroup
	done := make(chan struct{})
	for _, n := range names {
		cmd, out := writer(t, dir, n, strconv.Itoa(many))
		writers.Go(func() {
			for out.Scan() {
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	go func() { writers.Wait(); close(done) }()
	reads := 0
	for running := true; running; reads++ {
		select {
		case <-done:
			running = false
		default:
		}
		for _, n := range names {
			if _, err := v.Account(t.Context(), oauth.Key{Upstream: n}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range names {
		same(t, v, account(n, "", many))
	}
	t.Logf("%d reads while others wrote", reads)
}

// A process that is killed at whatever it was at costs the change that it was at: what
// it had said is there, or the next.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	v := opened(t, dir, InFile, nil)
	put(t, v, account("other", "", 7))
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		cmd, out := writer(t, dir, "a", "1000000")
		said := 0
		for range 2 + round%3 {
			if !out.Scan() {
				t.Fatal("the writer ended")
			}
			said, _ = strconv.Atoi(out.Text())
		}
		// Some moments into the next write, different ones each time.
		for until := time.Now().Add(time.Duration(round) * 300 * time.Microsecond); time.Now().Before(until); {
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() {
			said, _ = strconv.Atoi(out.Text())
		}
		_ = cmd.Wait()
		got, err := v.Account(t.Context(), oauth.Key{Upstream: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, account("a", "", said)) && !reflect.DeepEqual(got, account("a", "", said+1)) {
			t.Errorf("round %d: it is neither what was said last nor the next", round)
		}
		same(t, v, account("other", "", 7))
		put(t, v, account("after", "", round)) // nothing stays locked
	}
	if there := v.files.all(); len(there) != 3 {
		t.Errorf("%d files are left for 3 accounts", len(there))
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	cmd, out := writer(t, dir, "", "lock")
	if !out.Scan() || out.Text() != "locked" {
		t.Fatal("not locked")
	}
	v := opened(t, dir, InFile, nil)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*lookAgain, errors.New("waited enough"))
	defer cancel()
	if _, err := v.Lock(ctx, oauth.Key{Upstream: "a"}); err == nil || !strings.Contains(err.Error(), "locked by another Interlock") || !strings.Contains(err.Error(), "waited enough") {
		t.Fatal(err)
	}
	for _, free := range []oauth.Key{{Upstream: "b"}, {Upstream: "a", Principal: "ann"}} {
		unlock, err := v.Lock(t.Context(), free)
		if err != nil {
			t.Fatal(err)
		}
		unlock()
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	unlock, err := v.Lock(t.Context(), oauth.Key{Upstream: "a"})
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		_, err := opened(t, dir, InFile, nil).Lock(ctx, oauth.Key{Upstream: "a"})
		second <- err
	}()
	cancel()
	if err := <-second; err == nil {
		t.Error("two have the lock")
	}
	unlock()
}
