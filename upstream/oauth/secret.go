package oauth

import "log/slog"

// Secret is a token, a client secret or a verifier. It prints as *** wherever it is
// formatted, logged or marshalled; string(s) is its value.
type Secret string

// String returns *** for any value but the empty one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString is String: %#v must not show the value either.
func (s Secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, which JSON and YAML use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
