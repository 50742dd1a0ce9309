package config

import (
	"reflect"

	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// document is the form of the file, after the keys of other clients and the
// aliases were translated. The schema is made from it.
type document struct {
	// Schema names the JSON Schema of the file, for editors.
	Schema string `koanf:"$schema"`
	// Include names files that are read before this one, which wins over them.
	// Relative paths are relative to this file.
	Include []string `koanf:"include"`

	Server Server        `koanf:"server"`
	Admin  Admin         `koanf:"admin"`
	Names  router.Config `koanf:"names"`
	// Defaults are keys of an upstream, for all of them.
	Defaults upstreamKeys `koanf:"defaults"`
	// Upstreams are the MCP servers behind the gateway, by name. When two offer
	// the same name, the one that comes first has it.
	Upstreams map[string]upstreamKeys `koanf:"upstreams"`
	// Policies decide which calls may be made and with what. They are consulted in
	// this order before a call, and in reverse after it.
	Policies []builtin.Config `koanf:"policies"`
	// Profiles are named views of what the upstreams offer, by name.
	Profiles map[string]Profile `koanf:"profiles"`
	// Alerts says who is told when something changes for the worse or the better.
	Alerts alertsKeys `koanf:"alerts"`
	// SignIn says where the sign-ins to upstreams are kept.
	SignIn SignIn `koanf:"sign_in"`

	Telemetry telemetryKeys `koanf:"telemetry"`
	// StateDir holds inventories, tokens, keys and the admin socket. By default
	// it is the user's state folder.
	StateDir string `koanf:"state_dir"`
	// InsecureFiles allows files of secrets that every user of the machine may
	// read.
	InsecureFiles bool `koanf:"insecure_files"`
}

type alertsKeys struct {
	alert.Config `koanf:",squash"`
}

type telemetryKeys struct {
	telemetry.Config `koanf:",squash"`
}

type upstreamKeys struct {
	upstream.Config `koanf:",squash"`
	// DependsOn names the upstreams that must be up before this one starts.
	DependsOn map[string]dependency `koanf:"depends_on"`
	// InsecureHTTP allows an Authorization header, or a token, over http:// beyond loopback.
	InsecureHTTP bool `koanf:"insecure_http"`
}

// dependency is an edge of the start order.
type dependency struct {
	// Condition is the state the other must have reached: running (the default)
	// or started.
	Condition upstream.Condition `koanf:"condition"`
	// Restart restarts this upstream when the other is lost.
	Restart bool `koanf:"restart"`
}

var (
	documentType = reflect.TypeFor[document]()
	upstreamType = reflect.TypeFor[upstreamKeys]()
)
