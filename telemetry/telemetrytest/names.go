package telemetrytest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Names are the names that package telemetry documents, in the order of its
// files names*.go.
type Names struct {
	Spans, Events []Name
	// Attrs are those of spans, events and links. A Group of them says where they
	// stand.
	Attrs []Name
	// Values are those that an attribute may have, by its name, if they are named.
	Values map[string][]Name
	// Log are attributes of lines of the log, LogEvents the events that it has besides
	// those that spans have.
	Log, LogEvents []Name

	page string // docs/telemetry.md, where metrics and lines of the log are, too
}

// Name is one constant.
type Name struct {
	Const, Value string
	// Shape is Value with what is added to it in braces: `policy {name}`; Value if
	// nothing is.
	Shape string
	// Tells is the comment without the constant's name, and with names of others in
	// the place of their constants; Group is that of the group, as it stands.
	Tells, Group string
	// Attrs are the names of attributes that the comment names.
	Attrs []string

	raw string // the comment
}

// ReadNames reads the names of the package telemetry of the module that the
// working directory is in.
func ReadNames() (*Names, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		files, _ := filepath.Glob(filepath.Join(dir, "telemetry", "names*.go"))
		if len(files) > 0 {
			n, err := readNames(files)
			if err != nil {
				return nil, err
			}
			page, err := os.ReadFile(filepath.Join(dir, "docs", "telemetry.md"))
			n.page = string(page)
			return n, err
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil, errors.New("no folder above has telemetry/names.go")
		}
		dir = up
	}
}

func readNames(files []string) (*Names, error) {
	n := &Names{Values: make(map[string][]Name)}
	all := make(map[string]string)    // values by constant
	values := make(map[string][]Name) // by the constant of their attribute
	slices.Sort(files)                // names.go is the first
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				return nil, fmt.Errorf("%s: there is more than constants in it", filepath.Base(file))
			}
			if err := n.read(g, all, values); err != nil {
				return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
			}
		}
	}
	for attr, of := range values {
		value, ok := all[attr]
		if !ok {
			return nil, fmt.Errorf("there is no %s for %s to be a value of", attr, of[0].Const)
		}
		n.Values[value] = of
	}
	lists := slices.AppendSeq([][]Name{n.Spans, n.Events, n.Attrs, n.Log, n.LogEvents}, maps.Values(n.Values))
	for _, list := range lists {
		for i := range list {
			if list[i].shape() {
				all[list[i].Const] = list[i].Shape
			}
		}
	}
	for _, list := range lists {
		for i := range list {
			if err := list[i].resolve(all); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

var valuesOf = regexp.MustCompile(`^Values of \[(Attr\w+)\]`)

// read reads one group of constants.
func (n *Names) read(g *ast.GenDecl, all map[string]string, values map[string][]Name) error {
	group := paragraph(g.Doc.Text())
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec) // a group of constants has nothing else
		if len(v.Names) != 1 || len(v.Values) != 1 {
			return fmt.Errorf("%s: one name and one value a line", v.Names[0])
		}
		if !v.Names[0].IsExported() {
			continue
		}
		text, ok := v.Values[0].(*ast.BasicLit)
		if !ok || text.Kind != token.STRING {
			return fmt.Errorf("%s is no text", v.Names[0])
		}
		value, err := strconv.Unquote(text.Value)
		if err != nil {
			return err
		}
		x := Name{Const: v.Names[0].Name, Value: value, Group: group, raw: paragraph(v.Doc.Text())}
		if x.raw == "" {
			return fmt.Errorf("%s has no comment", x.Const)
		}
		all[x.Const] = value
		of := valuesOf.FindStringSubmatch(group)
		switch {
		case strings.HasPrefix(group, "Attributes of lines of the log"):
			n.Log = append(n.Log, x)
		case strings.HasPrefix(group, "Names of events of the log"):
			n.LogEvents = append(n.LogEvents, x)
		case strings.HasPrefix(x.Const, "Span"):
			n.Spans = append(n.Spans, x)
		case strings.HasPrefix(x.Const, "Event"):
			n.Events = append(n.Events, x)
		case strings.HasPrefix(x.Const, "Attr"):
			n.Attrs = append(n.Attrs, x)
		case of != nil:
			values[of[1]] = append(values[of[1]], x)
		default:
			return fmt.Errorf("%s: its prefix is none of those at the top of names.go, and its group is not \"Values of [AttrX]\"", x.Const)
		}
	}
	return nil
}

// paragraph is a comment on one line.
func paragraph(s string) string { return strings.Join(strings.Fields(s), " ") }

var reference = regexp.MustCompile(`\[([A-Z]\w+)\]`)

// shape finds out what is added to the name, and reports whether anything is.
func (x *Name) shape() bool {
	x.Shape = x.Value
	m := regexp.MustCompile("`(" + regexp.QuoteMeta(x.Value) + "[^`]*\\{[^`]*)`").FindStringSubmatch(x.raw)
	if m != nil {
		x.Shape = m[1]
	}
	return m != nil
}

// resolve finds out what the comment says. all are names by their constants.
func (x *Name) resolve(all map[string]string) error {
	text, ok := strings.CutPrefix(x.raw, x.Const+" ")
	if !ok {
		return fmt.Errorf("the comment of %s does not begin with its name", x.Const)
	}
	text = strings.TrimPrefix(text, "is ")
	x.Tells = strings.ToUpper(text[:1]) + text[1:]
	for _, m := range reference.FindAllStringSubmatch(x.Tells, -1) {
		value, ok := all[m[1]]
		if !ok {
			return fmt.Errorf("the comment of %s names %s, which is not there", x.Const, m[1])
		}
		if strings.HasPrefix(m[1], "Attr") {
			x.Attrs = append(x.Attrs, value)
		}
		x.Tells = strings.ReplaceAll(x.Tells, m[0], "`"+value+"`")
	}
	return nil
}

// Is reports whether something is called so.
func (x *Name) Is(name string) bool {
	if x.Shape == x.Value {
		return name == x.Value
	}
	parts := placeholder.Split(x.Shape, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, "(?s:.+)") + "$").MatchString(name)
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// find returns the name that something is called by, nil if none is.
func find(all []Name, name string) *Name {
	for i := range all {
		if all[i].Is(name) {
			return &all[i]
		}
	}
	return nil
}
