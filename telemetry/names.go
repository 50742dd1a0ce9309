package telemetry

// Names of attributes, by the semantic conventions for MCP (semantic-conventions-genai,
// in Go semconv/v1.41.0).
const (
	AttrMethod          = "mcp.method.name"
	AttrTool            = "gen_ai.tool.name"
	AttrPrompt          = "gen_ai.prompt.name"
	AttrOperation       = "gen_ai.operation.name"
	AttrURI             = "mcp.resource.uri"
	AttrRequestID       = "jsonrpc.request.id"
	AttrSessionID       = "mcp.session.id"
	AttrProtocolVersion = "mcp.protocol.version"
	AttrTransport       = "network.transport"
	AttrServerAddress   = "server.address"
	AttrServerPort      = "server.port"
	AttrClientAddress   = "client.address"
	AttrErrorType       = "error.type"
	AttrStatusCode      = "rpc.response.status_code"
)

// executeTool is the gen_ai.operation.name of tools/call.
const executeTool = "execute_tool"

// Names of attributes of our own.
const (
	AttrUpstream     = "interlock.upstream"
	AttrState        = "interlock.upstream.state"
	AttrPolicy       = "interlock.policy.name"
	AttrPolicyPhase  = "interlock.policy.phase"
	AttrPolicyEffect = "interlock.policy.effect"
	AttrPolicyReason = "interlock.policy.reason"
	AttrPolicyDryRun = "interlock.policy.dry_run"
	AttrAlertReason  = "interlock.alert.reason"
	AttrAlertStage   = "interlock.alert.stage"
	AttrAlertText    = "interlock.alert.text"
	// AttrLink says of a link why it is there.
	AttrLink = "interlock.link"
)

// Values of AttrLink.
const (
	// LinkHeader is to the context of the HTTP header, where _meta has another.
	LinkHeader = "header"
)

// Names of spans of our own.
const (
	SpanAlert = "alert"
	// SpanPolicy is followed by a space and the policy's name.
	SpanPolicy = "policy"
)

// Names of events.
const (
	// EventAlert is followed by the alert's event.
	EventAlert = "interlock.alert."
)
