package upstream

import (
	"encoding/json"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Members of _meta that 2026-07-28 gives a meaning (basic, "_meta").
const (
	metaProtocolVersion    = "io.modelcontextprotocol/protocolVersion"
	metaClientInfo         = "io.modelcontextprotocol/clientInfo"
	metaClientCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaLogLevel           = "io.modelcontextprotocol/logLevel"
	metaServerInfo         = "io.modelcontextprotocol/serverInfo"
	metaSubscriptionID     = "io.modelcontextprotocol/subscriptionId"
)

// What does not change is made once.
var (
	modernVersion = []byte(`"` + latestModern + `"`)
	ownInfo       = json.RawMessage(`{"name":"interlock","version":"0"}`) // both members are required
)

// callerMeta returns what a modern server must be told of the caller with each
// request, where the caller did not say so itself.
func callerMeta(c Client, d *Dial) []jsonrpc.Member {
	info := c.Info
	if len(info) == 0 {
		info = clientInfo(d)
	}
	members := append(make([]jsonrpc.Member, 0, 4),
		jsonrpc.Member{Name: metaProtocolVersion, Value: modernVersion},
		jsonrpc.Member{Name: metaClientInfo, Value: info},
		jsonrpc.Member{Name: metaClientCapabilities, Value: orObject(c.Capabilities)},
	)
	if c.LogLevel != "" {
		members = append(members, jsonrpc.Member{Name: metaLogLevel, Value: jsonrpc.AppendString(nil, c.LogLevel)})
	}
	return members
}

// clientInfo is the gateway's own.
func clientInfo(d *Dial) json.RawMessage {
	if len(d.ClientInfo) > 0 {
		return d.ClientInfo
	}
	return ownInfo
}
