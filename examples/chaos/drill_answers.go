package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// answerDrills are faults of what a server says.
func answerDrills() []drill {
	return []drill{
		{fault: "F5", run: noise, sick: failing(1, kind{}, nil, "noise", "glued")},
		{fault: "F6", run: floods, sick: failing(1, kind{}, map[string]any{"call_timeout": "2m"})},
		{fault: "F7", run: deep, sick: failing(1, kind{}, map[string]any{"max_message": "64MiB", "call_timeout": "2m"})},
		{fault: "F13", run: otherTools, sick: failing(1, kind{}, nil)},
		{fault: "F20", run: thrice, sick: failing(1, kind{}, nil, "dup")},
		{fault: "F23", run: bursts, sick: failing(1, kind{}, nil)},
		{fault: "F24", run: muchProgress, sick: failing(1, kind{}, map[string]any{"call_timeout": "1m"})},
	}
}

func noise(ctx context.Context, s *stand) error {
	c, err := s.client(ctx, "s")
	if err != nil {
		return err
	}
	ok := 0
	for n := range 50 * s.times {
		s.row.Injected++
		if s.sickCall(ctx, c, s.sick[0], n) == answered {
			ok++
		}
	}
	s.exactly("answered", ok, 50*s.times)
	return nil
}

// floods: lines of 100 MB, and one of 1 GB. The next call is answered, on the
// same process.
func floods(ctx context.Context, s *stand) error {
	c, err := s.client(ctx, "s")
	if err != nil {
		return err
	}
	pid := s.sick[0].pid()
	most, err := s.memory(ctx, func() error {
		for i := range s.times {
			size := 100_000_000
			if i == 0 {
				size = 1_000_000_000
			}
			s.row.Injected++
			m, err := s.tool(ctx, c, s.sick[0], "flood", fmt.Sprintf(`{"bytes":%d}`, size), false)
			if err != nil || len(m) != 1 || m[0].Result == nil || m[0].Result.Meta.Error == nil || m[0].Result.Meta.Error.Reason != "too_large" {
				return fmt.Errorf("%d bytes: %+v, %w", size, m, err)
			}
			if s.sickCall(ctx, c, s.sick[0], i) != answered || s.sick[0].pid() != pid {
				return fmt.Errorf("after %d bytes the server is not what it was", size)
			}
		}
		return nil
	})
	s.atMost("MiB more", int(most>>20), 16+32) // max_message, and some
	return err
}

// deep: answers nested too deep, and of a million keys. The CPU is the gateway's
// own for one of them; what the clients beside it cost is in it, too.
func deep(ctx context.Context, s *stand) error {
	c, err := s.client(ctx, "s")
	if err != nil {
		return err
	}
	p, pid := s.sick[0], s.gateway.cmd.Process.Pid
	idle, began := cpu(pid), time.Now()
	wait(ctx, time.Second)
	rate := float64(cpu(pid)-idle) / float64(time.Since(began)) // of the others
	var worst time.Duration
	for i := range s.times {
		for tool, arguments := range map[string]string{"deep": `{"depth":200000}`, "keys": `{"n":1000000}`} {
			s.row.Injected++
			used, began := cpu(pid), time.Now()
			size, said, err := s.large(ctx, c, p, tool, arguments)
			if err != nil || tool == "deep" && !strings.Contains(said, `"reason":"malformed"`) || tool == "keys" && size < 10<<20 {
				return fmt.Errorf("%s: %s, %w", tool, said, err)
			}
			worst = max(worst, cpu(pid)-used-time.Duration(rate*float64(time.Since(began))))
		}
		if s.sickCall(ctx, c, p, i) != answered {
			return fmt.Errorf("the link did not live")
		}
	}
	s.within("CPU", worst, 200*time.Millisecond)
	return nil
}

// large calls a tool and reads the answer without a look at more than its
// beginning: that would cost more than to carry it.
func (s *stand) large(ctx context.Context, c *client, p *peer, tool, arguments string) (size int64, begins string, err error) {
	name := p.name + "__" + tool
	body, _ := c.request("tools/call", fmt.Sprintf(`"name":%q,"arguments":%s`, name, arguments), false)
	res, err := c.post(ctx, body, "tools/call", name)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	first := make([]byte, 4096)
	n, _ := io.ReadFull(res.Body, first)
	size, err = io.Copy(io.Discard, res.Body)
	return size + int64(n), string(first[:n]), err
}

// otherTools kills a server, which comes back with one tool more or less.
func otherTools(ctx context.Context, s *stand) error {
	c, err := s.legacy(ctx, "s")
	if err != nil {
		return err
	}
	told, err := s.listen(ctx, c, "notifications/tools/list_changed")
	if err != nil {
		return err
	}
	var worst time.Duration
	heard := 0
	for i := range s.times {
		end := func() {}
		if i%2 == 0 {
			end = s.sick[0].begin("other tools", "extra")
		}
		began := time.Now()
		if child, err := os.FindProcess(s.sick[0].pid()); err == nil {
			_ = child.Kill()
		}
		s.row.Injected++
		select {
		case <-told:
			heard++
			worst = max(worst, time.Since(began))
		case <-time.After(30 * time.Second):
			return fmt.Errorf("nothing was said of the %d. restart", i+1)
		}
		end()
		wait(ctx, 200*time.Millisecond) // past stable: the next restart is at once again
	}
	if more := len(told); more > 0 {
		s.missed("told %d times more", more)
	}
	s.within("told after", worst, 2*time.Second)
	return nil
}

// thrice: each answer comes three times, and answers that nobody asked for.
func thrice(ctx context.Context, s *stand) error {
	end, err := s.callers(ctx, 64)
	if err != nil {
		return err
	}
	want := 5000 * s.times
	err = s.gateway.await(ctx, "called often enough", func() bool { return s.sick[0].lines("nonces") >= want })
	end()
	s.row.Injected = s.sick[0].lines("nonces")
	s.exactly("wrong", s.ledger.wrongs, 0)
	return err
}

// bursts: 10,000 times the word that the tools have changed.
func bursts(ctx context.Context, s *stand) error {
	c, err := s.client(ctx, "s")
	if err != nil {
		return err
	}
	most := 0
	for range s.times {
		wait(ctx, 1500*time.Millisecond) // what came before is over
		before := s.sick[0].lines("lists")
		s.row.Injected++
		began := time.Now()
		if m, err := s.tool(ctx, c, s.sick[0], "burst", `{"n":10000}`, false); err != nil || len(m) != 1 {
			return fmt.Errorf("%+v, %w", m, err)
		}
		seconds := int(time.Since(began) / time.Second)
		wait(ctx, 1500*time.Millisecond)
		most = max(most, s.sick[0].lines("lists")-before-seconds) // one a second while it lasts
	}
	s.atMost("lists a burst", most, 2)
	return nil
}

func muchProgress(ctx context.Context, s *stand) error {
	c, err := s.client(ctx, "s")
	if err != nil {
		return err
	}
	answers := 0
	for range s.times {
		s.row.Injected++
		m, err := s.tool(ctx, c, s.sick[0], "progress", `{"n":50000,"after":1000}`, true)
		if err != nil {
			return err
		}
		for _, one := range m {
			if one.Method == "" {
				answers++
			} else if !strings.HasPrefix(one.Method, "notifications/progress") {
				return fmt.Errorf("heard %s", one.Method)
			}
		}
		if m[len(m)-1].Method != "" {
			return fmt.Errorf("progress after the answer")
		}
	}
	s.exactly("answers", answers, s.times)
	return nil
}
