package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOnlyNamesDiffer compares what go-sdk's reference server says when it is asked
// directly with what the gateway says in front of it, behind a prefix and beside
// four other servers: every item of every list, and answers of every kind, are the
// same to the byte but for the prefix.
func TestOnlyNamesDiffer(t *testing.T) {
	t.Parallel()
	for speaks := range scored {
		t.Run(string(speaks), func(t *testing.T) {
			t.Parallel()
			ctx, dir := deadline(t, 2*time.Minute), home(t)
			url := referenceRemote(ctx, t, dir, speaks)
			twin := referenceStdio(t, speaks)
			delete(twin, "prefix")
			g := newGateway(ctx, t, dir, fields{
				"everything": everythingStdio(), "files": filesystem(dir), "memory": memory(filepath.Join(dir, "memory.json")),
				"ref":  fields{"url": url, "required": true},
				"twin": twin,
			})
			direct, through := newRaw(ctx, t, url, speaks), newRaw(ctx, t, g.url(), speaks)
			const prefix = "ref__"
			for method, key := range map[string]string{
				"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates",
			} {
				items := map[string]bool{}
				for _, item := range listed(t, through, method, key) {
					items[strings.Replace(item, `"name":"`+prefix, `"name":"`, 1)] = true
				}
				all := listed(t, direct, method, key)
				if len(all) == 0 {
					t.Errorf("%s is empty", method)
				}
				for _, item := range all {
					if !items[item] {
						t.Errorf("%s lacks %s", method, item)
					}
				}
			}
			for _, x := range []struct {
				method string
				params fields
			}{
				{"tools/call", fields{"name": "test_simple_text"}},
				{"tools/call", fields{"name": "test_image_content"}},
				{"tools/call", fields{"name": "test_audio_content"}},
				{"tools/call", fields{"name": "test_embedded_resource"}},
				{"tools/call", fields{"name": "test_multiple_content_types"}},
				{"tools/call", fields{"name": "test_error_handling"}},
				{"tools/call", fields{"name": "test_x_mcp_header", "arguments": fields{"level": "no number"}}},
				{"prompts/get", fields{"name": "test_simple_prompt"}},
				{"prompts/get", fields{"name": "test_prompt_with_arguments", "arguments": fields{"arg1": "1", "arg2": "<&>"}}},
				{"prompts/get", fields{"name": "test_prompt_with_image"}},
				{"resources/read", fields{"uri": "test://static-text"}},
				{"resources/read", fields{"uri": "test://static-binary"}},
				{"resources/read", fields{"uri": "test://template/7/data"}},
			} {
				want := result(t, direct.post(x.method, x.params))
				if name, ok := x.params["name"].(string); ok {
					x.params["name"] = prefix + name
				}
				if got := result(t, through.post(x.method, x.params)); got != want {
					t.Errorf("%s %v answered\n%s, directly\n%s", x.method, x.params, got, want)
				}
			}
		})
	}
}

// listed returns the items of a list, page by page.
func listed(t *testing.T, r *raw, method, key string) (items []string) {
	t.Helper()
	params := fields{}
	for {
		var page map[string]json.RawMessage
		if err := json.Unmarshal([]byte(result(t, r.post(method, params))), &page); err != nil {
			t.Fatal(err)
		}
		var some []json.RawMessage
		if err := json.Unmarshal(page[key], &some); err != nil {
			t.Fatalf("%s: %v in %s", method, err, page[key])
		}
		for _, item := range some {
			items = append(items, string(item))
		}
		if page["nextCursor"] == nil {
			return items
		}
		params["cursor"] = page["nextCursor"]
	}
}

// result is the result of an answer, or its error, as it came.
func result(t *testing.T, message json.RawMessage) string {
	t.Helper()
	var m struct{ Result, Error json.RawMessage }
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatalf("%v in %s", err, message)
	}
	return string(m.Result) + string(m.Error)
}
