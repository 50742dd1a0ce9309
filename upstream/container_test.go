package upstream

import (
	"slices"
	"strings"
	"testing"
)

func TestParseContainerRun(t *testing.T) {
	for _, c := range []struct {
		line    string // the command and its arguments
		ok      bool
		global  string
		with    string // its arguments with an option more, X
		cidfile string
	}{
		{line: "docker run -i --rm mcp/fetch", ok: true, with: "run X -i --rm mcp/fetch"},
		{line: "/usr/local/bin/docker run mcp/fetch", ok: true, with: "run X mcp/fetch"},
		{line: "podman container run -i mcp/fetch", ok: true, with: "container run X -i mcp/fetch"},
		{line: "DOCKER.EXE run mcp/fetch", ok: true, with: "run X mcp/fetch"},
		{line: "docker -D --context=far -H tcp://x:1 --log-level debug run x", ok: true, global: "-D --context=far -H tcp://x:1 --log-level debug", with: "-D --context=far -H tcp://x:1 --log-level debug run X x"},
		{line: "podman -r --connection far run x", ok: true, global: "-r --connection far", with: "-r --connection far run X x"},
		{line: "docker run --cidfile /a -i x", ok: true, with: "run X --cidfile /a -i x", cidfile: "/a"},
		{line: "docker run -i --cidfile=a x", ok: true, with: "run X -i --cidfile=a x", cidfile: "a"},
		{line: "docker run -it -e A -eB=C --name n --init --cidfile a x --cidfile b", ok: true, with: "run X -it -e A -eB=C --name n --init --cidfile a x --cidfile b", cidfile: "a"},
		{line: "docker run -i --rm x --cidfile b", ok: true, with: "run X -i --rm x --cidfile b"},
		{line: "docker run -ie A x --cidfile b", ok: true, with: "run X -ie A x --cidfile b"},
		{line: "docker run -- x --cidfile b", ok: true, with: "run X -- x --cidfile b"},
		{line: "docker run -e", ok: true, with: "run X -e"},
		{line: "docker run", ok: true, with: "run X"},
		{line: "docker exec -i box run"},
		{line: "docker compose run x"},
		{line: "docker --context run"},
		{line: "docker container exec run"},
		{line: "docker container"},
		{line: "docker"},
		{line: "npx run"},
		{line: "docker-mcp run x"},
	} {
		words := strings.Fields(c.line)
		r, ok := parseContainerRun(words[0], words[1:])
		if ok != c.ok {
			t.Errorf("%s: %v", c.line, ok)
			continue
		}
		if !ok {
			continue
		}
		with := strings.Join(r.with(words[1:], []string{"X"}), " ")
		if with != c.with || strings.Join(r.global, " ") != c.global || r.cidfile != c.cidfile {
			t.Errorf("%s\ngot  %q, global %q, cidfile %q\nwant %q, %q, %q", c.line, with, r.global, r.cidfile, c.with, c.global, c.cidfile)
		}
		if slices.Contains(words, "X") {
			t.Errorf("%s was changed", c.line)
		}
	}
}

// FuzzParseContainerRun: no command line is beyond it, and what it finds is run.
func FuzzParseContainerRun(f *testing.F) {
	f.Add("docker", "run -it -e A x")
	f.Add("podman", "-r -- container run --cidfile")
	f.Fuzz(func(t *testing.T, command, line string) {
		args := strings.Fields(line)
		r, ok := parseContainerRun(command, args)
		if ok && (args[r.options-1] != "run" || len(r.with(args, []string{"X"})) != len(args)+1) {
			t.Errorf("%q: %+v", line, r)
		}
	})
}
