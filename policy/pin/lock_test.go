package pin

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
)

// entries are some that are odd to write.
func entries(t testing.TB) map[key]*entry {
	t.Helper()
	all := make(map[key]*entry)
	for _, d := range []*policy.Definition{
		tool("b", "null", "x"), tool("b", "z: #\n\"'\t\u202e", "a\n b: c\n\n- d"), tool("a b", "2", "<<<<<<< y"),
		{Upstream: "b", Kind: policy.Instructions, Raw: []byte(`"say \u0000 <b> \ud83d\ude00 ` + "\u2028\u0085\U000e0041" + `"`)},
		{Upstream: "b", Kind: policy.Prompt, Name: "null", Raw: []byte(`{"n":12345678901234567890,"e":{},"l":[],"a":[1,{"b":null}]}`)},
	} {
		text, err := indented(d.Raw)
		if err != nil {
			t.Fatal(err)
		}
		all[keyOf(d)] = newEntry(d, text, time.Date(2026, 11, 22, 17, 24, 1, 500, time.UTC), "uid 1000: me")
	}
	return all
}

const first = `# What was approved of that which MCP servers offer. Review a change of this file
# like one of code: "interlock pins diff" shows what differs from it, and
# "interlock pins approve" writes it.
version: 1
pins:
  - upstream: a b
    kind: tool
    name: "2"
    hash: sha256:f9ca1d79ca0ebd71b1a3dd6d2f8ed6b17c7aa10c6afd9ffb6ca7a2a7ac6fba4d
    approved: 2026-11-22T17:24:01Z
    by: "uid 1000: me"
    definition: |
      {
        "name": "2",
        "description": "<<<<<<< y",
        "inputSchema": {
          "type": "object"
        }
      }
  - upstream: b
    kind: instructions
    name: ""
`

// The file reads back as it was written, by us and by any reader of YAML.
func TestFormat(t *testing.T) {
	want := entries(t)
	raw := format(want)
	hash := want[key{"a b", policy.Tool, "2"}].hash
	if got, want := string(raw[:len(first)]), strings.Replace(first, "sha256:f9ca1d79ca0ebd71b1a3dd6d2f8ed6b17c7aa10c6afd9ffb6ca7a2a7ac6fba4d", hash, 1); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	windows := strings.ReplaceAll(string(raw), "\n", "\r\n")
	commented := strings.ReplaceAll(string(raw), "  - upstream", "\n# seen\n  - upstream")
	for name, text := range map[string]string{"as written": string(raw), "CRLF": windows, "commented": commented} {
		got, err := parse("pins", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(string(raw), string(format(got))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var doc struct {
		Version int
		Pins    []map[string]string
	}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range doc.Pins {
		e := want[key{p["upstream"], policy.Kind(p["kind"]), p["name"]}]
		if e == nil || p["hash"] != e.hash || p["by"] != e.by || strings.TrimSuffix(p["definition"], "\n") != e.text {
			t.Errorf("a reader of YAML sees %q", p)
		}
	}
	if len(doc.Pins) != len(want) {
		t.Errorf("%d pins", len(doc.Pins))
	}
	if got, err := parse("pins", format(nil)); err != nil || len(got) != 0 {
		t.Errorf("an empty one: %v %v", got, err)
	}
}

// A file that was spoilt says where and how to mend it, and changes nothing.
func TestSpoilt(t *testing.T) {
	good := string(format(entries(t)))
	for name, c := range map[string]struct {
		old, with string
		want      string // of the message
	}{
		"empty":               {good, "", `:1: the file ends where "version: 1" should be (restore`},
		"another version":     {"version: 1", "version: 2", `:4: the file is of another version of interlock: "version: 2" (use`},
		"not a lock file":     {"version: 1", "upstreams:", `:4: "upstreams:" stands where "version: 1" should be`},
		"a conflict":          {"    by: \"uid 1000: me\"\n", "<<<<<<< HEAD\n", ":11: here is a conflict of a merge (resolve it)"},
		"one in a definition": {"        \"name\": \"2\",\n", "=======\n", ":14: here is a conflict of a merge (resolve it)"},
		"a definition":        {`"type": "object"`, `"type": "objekt"`, `:9: the definition of "a b/2" is not the one that was approved: it has another hash (restore`},
		"a hash":              {"hash: sha256:", "hash: sha256:0", `:9: the definition of "a b/2" is not`},
		"a name":              {`name: "2"`, `name: "3"`, ""}, // one may say so: it is another tool then
		"no JSON":             {`"type": "object"`, `"type": "object`, `:12: the definition of "a b/2" is not JSON`},
		"a field":             {"    kind: tool\n", "    knid: tool\n", `:7: "    knid: tool" is none of upstream, kind`},
		"a field too much":    {"    kind: tool\n", "    kind: tool\n    kind: tool\n", ":8: the entry has a second kind (keep one"},
		"a field too little":  {"    kind: tool\n", "", ":6: the entry that begins here has no kind"},
		"a kind":              {"kind: tool", "kind: tule", `:7: the kind is "tule" and not instructions, tool`},
		"a time":              {"2026-11-22T17", "yesterday", `is no time (write it as`},
		"quotes":              {`"2"`, `"2" # two`, ":8: the text in quotes is not whole, or has more behind it"},
		"no quotes":           {`"2"`, `2`, `:8: "2" has to be in quotes`},
		"tabs":                {"    kind: tool\n", "\tkind: tool\n", `is no line of an entry`},
		"a flow":              {"definition: |", "definition: {}", ":12: the definition does not begin with |"},
		"twice":               {"  - upstream: b\n", strings.TrimSuffix(good[strings.Index(good, "  - upstream: a b"):], "\n") + "\n  - upstream: b\n", " is there twice (keep"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pins.yaml")
			text := strings.Replace(good, c.old, c.with, 1)
			if text == good {
				t.Fatal("nothing was spoilt")
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := (&Config{File: file}).New(policy.Env{})
			lock := new(LockError)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.As(err, &lock) || !strings.HasPrefix(err.Error(), file+":") || !strings.Contains(err.Error(), c.want) || lock.Mend == "" {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			after, _ := os.ReadFile(file)
			if string(after) != text {
				t.Error("the file was written")
			}
		})
	}
}

// What others write into the file counts from the next look on, if it is whole.
// What is no file is not read: a pipe would be waited for.
func TestNoFile(t *testing.T) {
	c := Config{File: t.TempDir()}
	if _, err := c.New(policy.Env{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestEdited(t *testing.T) {
	d := open(t, Config{})
	was, is := tool("files", "add", "Adds"), tool("files", "add", "Adds more")
	d.vet(was)
	_ = d.Close()
	other := open(t, Config{File: d.File()})
	other.vet(is)
	if _, err := other.Approve([]string{"files/add@" + is.Hash()}, "a friend"); err != nil {
		t.Fatal(err)
	}
	if got := d.vet(is); got != nil {
		t.Errorf("what a friend approved: %q", got)
	}
	if !strings.Contains(d.log.String(), "changed by others") {
		t.Errorf("log: %s", d.log)
	}
	good, _ := os.ReadFile(d.File())
	if err := os.WriteFile(d.File(), append(good, "  - oops\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := d.vet(is); got != nil {
			t.Errorf("a spoilt file: %q", got)
		}
	}
	if n := strings.Count(d.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d complaints:\n%s", n, d.log)
	}
	if err := d.Renew(); err == nil {
		t.Error("a reload took the spoilt file")
	}
	if _, err := d.Approve([]string{"files/add@" + is.Hash()}, "me"); err == nil {
		t.Error("the spoilt file was overwritten")
	}
	if err := os.Remove(d.File()); err != nil {
		t.Fatal(err)
	}
	if got := d.vet(is); got != nil {
		t.Errorf("a file that is gone: %q", got)
	}
	if _, err := d.Approve([]string{"files/add@" + is.Hash()}, "me"); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(d.File()); string(after) != string(good) {
		t.Errorf("written anew:\n%s", after)
	}
}

// What could not be written is not forgotten when the file comes to be another one,
// and what is said of a change goes by what is approved now.
func TestUnsaved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pins.yaml")
	d := open(t, Config{File: file})
	// A folder in the place of the file cannot be written, or read.
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	mine, is := tool("mine", "x", ""), tool("files", "add", "three")
	d.vet(mine)
	_ = d.Close()
	for _, approved := range []string{"one", "two"} {
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		friend := open(t, Config{File: file})
		friend.vet(tool("files", "add", approved))
		_ = friend.Close()
		got := d.Vet([]*policy.Definition{mine, is})
		if len(got) != 1 || !strings.Contains(got[0].Reason, `"`+approved+`" is now "three"`) || !strings.Contains(string(got[0].Raw), approved) {
			t.Errorf("%s: %+v", approved, got)
		}
	}
	// A rewritten file is read at the same look.
	if err := os.WriteFile(file, format(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"x change"}, d.vet(tool("mine", "x", "another"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A file that was replaced by one of the same size before the clock of files had ticked
// was once taken for the one that was read.
func TestReplacedWithinATick(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pins.yaml")
	put := func(description string) os.FileInfo {
		t.Helper()
		_ = os.Remove(file)
		d := open(t, Config{File: file})
		d.vet(tool("files", "add", description))
		_ = d.Close()
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := put("one")
	d := open(t, Config{File: file})
	second := put("two")
	if first.Size() != second.Size() {
		t.Fatalf("of %d and %d bytes", first.Size(), second.Size())
	}
	if err := os.Chtimes(file, time.Time{}, first.ModTime()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"add change"}, d.vet(tool("files", "add", "one"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A link stays a link, and a file keeps its mode.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.WriteFile(file, format(nil), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	d := open(t, Config{File: link})
	d.vet(tool("a", "x", ""))
	_ = d.Close()
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != 0o640 && runtime.GOOS != "windows" || info.Size() < 400 {
		t.Errorf("%v %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".interlock*")); left != nil {
		t.Errorf("left: %q", left)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(format(nil))
	f.Add(format(entries(f)))
	f.Add([]byte("version: 1\npins:\n  - upstream: x\n    definition: |\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := parse("f", raw)
		if err != nil {
			return
		}
		again, err := parse("f", format(all))
		if err != nil {
			t.Fatalf("what was read is not written whole: %v\n%s", err, format(all))
		}
		if !bytes.Equal(format(all), format(again)) {
			t.Fatal("it is written in another way the second time")
		}
	})
}
