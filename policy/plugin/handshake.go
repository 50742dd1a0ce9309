package plugin

import (
	goplugin "github.com/hashicorp/go-plugin"
)

// What a plugin and the gateway must agree on before they talk. The cookie is no
// secret: it only tells a plugin that it was not started by hand.
const (
	// ProtocolVersion is the version of the protocol, the v1 of proto/v1.
	ProtocolVersion = 1
	// CookieKey and CookieValue are the environment variable that a plugin finds.
	CookieKey   = "INTERLOCK_PLUGIN"
	CookieValue = "policy"
)

func handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion: ProtocolVersion, MagicCookieKey: CookieKey, MagicCookieValue: CookieValue,
	}
}
