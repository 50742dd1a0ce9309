package policyv1

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The generated code is that of policy.proto: the same methods, and the same fields
// and values with the same numbers.
func TestGenerated(t *testing.T) {
	raw, err := os.ReadFile("policy.proto")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ *(?:(?:optional |repeated )?\w+ )?(\w+) = (\d+);$|^  rpc (\w+)\((\w+)\) returns \((\w+)\);$`).FindAllStringSubmatch(string(raw), -1) {
		want[fmt.Sprint(m[1:])] = true
	}
	got := map[string]bool{}
	file := File_v1_policy_proto
	for i := range file.Messages().Len() {
		fields := file.Messages().Get(i).Fields()
		for j := range fields.Len() {
			got[fmt.Sprint([]string{string(fields.Get(j).Name()), fmt.Sprint(fields.Get(j).Number()), "", "", ""})] = true
		}
	}
	for i := range file.Enums().Len() {
		values := file.Enums().Get(i).Values()
		for j := range values.Len() {
			got[fmt.Sprint([]string{string(values.Get(j).Name()), fmt.Sprint(values.Get(j).Number()), "", "", ""})] = true
		}
	}
	methods := file.Services().Get(0).Methods()
	name := func(d protoreflect.Descriptor) string { return string(d.Name()) }
	for j := range methods.Len() {
		m := methods.Get(j)
		got[fmt.Sprint([]string{"", "", name(m), name(m.Input()), name(m.Output())})] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("run make proto: %s", diff)
	}
}
