package telemetry

// Attr is an attribute of a span, an event or a link: a name and a value, both
// UTF-8. What is not valid UTF-8 in a value is replaced, and one longer than
// maxValue bytes is cut.
type Attr struct {
	key    string
	kind   attrKind
	text   string
	number int64
}

type attrKind byte

const (
	textAttr attrKind = iota
	intAttr
	boolAttr
)

// String returns an attribute with a text. An empty one is left out of spans.
func String(key, value string) Attr { return Attr{key: key, text: value} }

// Int returns an attribute with a number.
func Int(key string, value int64) Attr { return Attr{key: key, kind: intAttr, number: value} }

// Bool returns an attribute that is true or false.
func Bool(key string, value bool) Attr {
	a := Attr{key: key, kind: boolAttr}
	if value {
		a.number = 1
	}
	return a
}
