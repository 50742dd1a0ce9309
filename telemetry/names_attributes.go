package telemetry

// Attributes of the spans of requests, SERVER and CLIENT, by the semantic
// conventions for MCP (semantic-conventions-genai, in Go semconv/v1.41.0).
const (
	// AttrMethod is the method of the request, such as tools/call. In metrics, one
	// that MCP does not have is `_other`.
	AttrMethod = "mcp.method.name"
	// AttrTool is the tool's name: what clients call it on a SERVER span, what the
	// upstream calls it on a CLIENT span, and `_other` if the catalog has no such tool.
	AttrTool = "gen_ai.tool.name"
	// AttrPrompt is the prompt's name, as for tools.
	AttrPrompt = "gen_ai.prompt.name"
	// AttrOperation is `execute_tool` for tools/call.
	AttrOperation = "gen_ai.operation.name"
	// AttrURI is the resource's URI. It is never in the span's name, nor in a metric.
	AttrURI = "mcp.resource.uri"
	// AttrRequestID is the id of the JSON-RPC request, as it was written: that of the
	// client on a SERVER span, and on a CLIENT span the one under which the upstream, or
	// the client, was asked last. A request that was never sent has none.
	AttrRequestID = "jsonrpc.request.id"
	// AttrSessionID is the session of the client, not by the id that lets one into it. It
	// is on SERVER spans, and never in a metric.
	AttrSessionID = "mcp.session.id"
	// AttrProtocolVersion is the revision of MCP that is spoken, such as 2025-11-25.
	AttrProtocolVersion = "mcp.protocol.version"
	// AttrTransport is `pipe` for stdio and `tcp` for HTTP.
	AttrTransport = "network.transport"
	// AttrServerAddress is the host of an upstream's URL.
	AttrServerAddress = "server.address"
	// AttrServerPort is the port of an upstream's URL.
	AttrServerPort = "server.port"
	// AttrClientAddress is the IP address of the client.
	AttrClientAddress = "client.address"
	// AttrErrorType is why the span failed, in a short word: the code of a JSON-RPC
	// error, `tool_error` for a result with isError, `timeout`, `cancelled`, or the
	// reason that a refusal gives. A client's own mistake is no failure of a SERVER span.
	AttrErrorType = "error.type"
	// AttrStatusCode is the code of the JSON-RPC error that was the answer.
	AttrStatusCode = "rpc.response.status_code"
	// AttrArguments is what the tool was called with, if telemetry.traces.capture is
	// redacted: JSON of 4 KiB at most, on SERVER spans of tools/call. They are the
	// arguments that the policies let pass.
	AttrArguments = "gen_ai.tool.call.arguments"
	// AttrResult is the result that the client got, as for the arguments.
	AttrResult = "gen_ai.tool.call.result"
)

// executeTool is the gen_ai.operation.name of tools/call.
const executeTool = "execute_tool"

// Attributes of the gateway's own.
const (
	// AttrUpstream is the name of the upstream in the configuration.
	AttrUpstream = "interlock.upstream"
	// AttrState is the state that the upstream was in.
	AttrState = "interlock.upstream.state"
	// AttrPolicy is the name of the policy in the configuration.
	AttrPolicy = "interlock.policy.name"
	// AttrPolicyPhase is when the policy was asked.
	AttrPolicyPhase = "interlock.policy.phase"
	// AttrPolicyEffect is what the policy did.
	AttrPolicyEffect = "interlock.policy.effect"
	// AttrPolicyReason is the reason that the policy gave.
	AttrPolicyReason = "interlock.policy.reason"
	// AttrPolicyDryRun is whether the policy only said what it would have done.
	AttrPolicyDryRun = "interlock.policy.dry_run"
	// AttrAlertReason is why the alert was raised.
	AttrAlertReason = "interlock.alert.reason"
	// AttrAlertStage is the stage of the start that failed.
	AttrAlertStage = "interlock.alert.stage"
	// AttrAlertText is the alert in a sentence.
	AttrAlertText = "interlock.alert.text"
	// AttrLink is why a link is there. It is on links alone.
	AttrLink = "interlock.link"
)
