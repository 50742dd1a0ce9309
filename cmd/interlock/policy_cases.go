package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/interlock-mcp/interlock/policy/rehearse"
)

// caseFile is a file of cases, and what they are put through.
type caseFile struct {
	name  string
	cases []rehearse.Case
	lines []int // where each begins
	*rules
}

// openCases reads a file of cases, and the policies that they meet.
func openCases(name string, files []string) (*caseFile, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, &failure{exitBadConfig, err, ""}
	}
	f := &caseFile{name: name}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, f.fault(err)
	}
	own := false
	var list *ast.SequenceNode
	for _, m := range members(tree) {
		switch key := m.Key.String(); key {
		case "policies":
			own = true
		case "cases":
			var ok bool
			if list, ok = m.Value.(*ast.SequenceNode); !ok {
				return nil, &failure{exitBadConfig, fmt.Errorf("%s:%d: cases must be a list", name, line(m.Key)), ""}
			}
		}
	}
	if list == nil || len(list.Values) == 0 {
		return nil, &failure{exitBadConfig, fmt.Errorf("%s has no cases", name), "interlock policy test --help shows what they look like"}
	}
	if err := f.read(list); err != nil {
		return nil, err
	}
	f.rules, err = loadRules(name, own, files)
	return f, err
}

// members are the keys at the top of a file.
func members(tree *ast.File) []*ast.MappingValueNode {
	if len(tree.Docs) == 0 {
		return nil
	}
	switch n := tree.Docs[0].Body.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// read reads the cases and returns all that is wrong with them.
func (f *caseFile) read(list *ast.SequenceNode) error {
	var faults []string
	names := make(map[string]int)
	for i, n := range list.Values {
		var c rehearse.Case
		at := line(n)
		if err := yaml.NodeToValue(n, &c, yaml.Strict()); err != nil {
			return f.fault(err)
		}
		if err := c.Validate(); err != nil {
			for text := range strings.SplitSeq(err.Error(), "\n") {
				faults = append(faults, fmt.Sprintf("%s:%d: %s", f.name, at, text))
			}
		}
		if c.Name == "" {
			c.Name = fmt.Sprintf("case %d", i+1)
		}
		if first, taken := names[c.Name]; taken {
			faults = append(faults, fmt.Sprintf("%s:%d: there is a case %q at line %d already", f.name, at, c.Name, first))
		} else {
			names[c.Name] = at
		}
		f.cases, f.lines = append(f.cases, c), append(f.lines, at)
	}
	if len(faults) > 0 {
		return &failure{exitBadConfig, errors.New(strings.Join(faults, "\n")), ""}
	}
	return nil
}

// fault is an error of the parser, with its place.
func (f *caseFile) fault(err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		at := e.GetToken().Position
		return &failure{exitBadConfig, fmt.Errorf("%s:%d:%d: %s", f.name, at.Line, at.Column, e.GetMessage()), "interlock policy test --help says what a case may hold"}
	}
	return &failure{exitBadConfig, fmt.Errorf("%s: %w", f.name, err), ""}
}

// line is where a node begins.
func line(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		n = m.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}
