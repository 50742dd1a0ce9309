package config

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of the configuration file. It is
// for editors; what Load checks besides is more.
func Schema() []byte { return append([]byte(nil), schema...) }
