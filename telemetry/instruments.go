package telemetry

import "slices"

// Instrument is a metric as both outputs and the documentation have it.
type Instrument struct {
	// Name is OpenTelemetry's, Prometheus what /metrics calls the same.
	Name, Prometheus string
	Kind             string // counter, updowncounter, gauge or histogram
	Unit             string // UCUM: s, By, or what is counted in braces
	Tells            string // what it tells, in a sentence
	// Attributes are those that a series may have; the empty ones of it are left out.
	Attributes []string
}

// Kinds of instruments.
const (
	kindCounter   = "counter"
	kindUpDown    = "updowncounter"
	kindGauge     = "gauge"
	kindHistogram = "histogram"
)

// Attributes of metrics that are not the conventions'. Those of ours without a
// prefix are words out of few.
const (
	labelState   = "state"   // of an upstream or a breaker
	labelOutcome = "outcome" // of a probe or an alert
	labelReason  = "reason"  // why a call was refused
	labelEvent   = "event"   // of an alert
	labelPolicy  = "policy"  // the name of a policy in the configuration
	labelEffect  = "effect"  // of a policy's decision
	labelPhase   = "phase"   // when a policy was asked
	labelSignal  = "signal"  // traces, metrics or logs
)

var (
	operationAttributes = []string{
		AttrMethod, AttrTool, AttrPrompt, AttrOperation, AttrErrorType, AttrStatusCode, AttrTransport,
	}
	sessionAttributes = []string{AttrErrorType, AttrTransport, AttrProtocolVersion}
)

// The metrics of the conventions for MCP (semantic conventions 1.41).
var (
	serverDuration = Instrument{
		"mcp.server.operation.duration", "mcp_server_operation_duration_seconds", kindHistogram, "s",
		"How long requests of clients took.", operationAttributes,
	}
	clientDuration = Instrument{
		"mcp.client.operation.duration", "mcp_client_operation_duration_seconds", kindHistogram, "s",
		"How long requests to upstreams took.", append(slices.Clone(operationAttributes), AttrServerAddress, AttrServerPort, AttrUpstream),
	}
	serverSession = Instrument{
		"mcp.server.session.duration", "mcp_server_session_duration_seconds", kindHistogram, "s",
		"How long sessions of clients lasted.", sessionAttributes,
	}
	clientSession = Instrument{
		"mcp.client.session.duration", "mcp_client_session_duration_seconds", kindHistogram, "s",
		"How long sessions with upstreams lasted.", append(slices.Clone(sessionAttributes), AttrUpstream),
	}
)

// Ours.
var (
	upstreamState = Instrument{
		"interlock.upstream.state", "interlock_upstream_state", kindGauge, "",
		"1 for the state that an upstream is in, 0 for the others.",
		[]string{AttrUpstream, labelState},
	}
	upstreamRestarts = Instrument{
		"interlock.upstream.restarts", "interlock_upstream_restarts_total", kindCounter, "{restart}",
		"Starts of an upstream that followed a failure.",
		[]string{AttrUpstream},
	}
	upstreamChecks = Instrument{
		"interlock.upstream.checks", "interlock_upstream_checks_total", kindCounter, "{check}",
		"Probes of an upstream by outcome: pass, fail, or neutral.",
		[]string{AttrUpstream, labelOutcome},
	}
	upstreamAvailability = Instrument{
		"interlock.upstream.availability", "interlock_upstream_availability", kindGauge, "",
		"The share of the last checks that were healthy, 0 to 1.",
		[]string{AttrUpstream},
	}
	breakerState = Instrument{
		"interlock.breaker.state", "interlock_breaker_state", kindGauge, "",
		"1 for the state that a circuit breaker is in, 0 for the others.",
		[]string{AttrUpstream, labelState},
	}
	breakerTransitions = Instrument{
		"interlock.breaker.transitions", "interlock_breaker_transitions_total", kindCounter, "{transition}",
		"Changes of a circuit breaker by the state that they led to.",
		[]string{AttrUpstream, labelState},
	}
	queueDepth = Instrument{
		"interlock.queue.depth", "interlock_queue_depth", kindUpDown, "{call}",
		"Calls that wait for a slot or for a start.",
		[]string{AttrUpstream},
	}
	callsRejected = Instrument{
		"interlock.calls.rejected", "interlock_calls_rejected_total", kindCounter, "{call}",
		"Calls that were refused without asking an upstream.",
		[]string{labelReason},
	}
	policyDecisions = Instrument{
		"interlock.policy.decisions", "interlock_policy_decisions_total", kindCounter, "{decision}",
		"Decisions of policies, by what came of them.",
		[]string{labelPolicy, labelEffect, labelPhase},
	}
	policyDuration = Instrument{
		"interlock.policy.duration", "interlock_policy_duration_seconds", kindHistogram, "s",
		"How long policies took to decide.",
		[]string{labelPolicy, labelPhase},
	}
	pluginRestarts = Instrument{
		"interlock.plugin.restarts", "interlock_plugin_restarts_total", kindCounter, "{restart}",
		"How often the programs of policies were started again.",
		[]string{labelPolicy},
	}
	catalogTools = Instrument{
		"interlock.catalog.tools", "interlock_catalog_tools", kindUpDown, "{tool}",
		"Tools that clients are shown.",
		[]string{AttrUpstream},
	}
	sessionsActive = Instrument{
		"interlock.sessions.active", "interlock_sessions_active", kindUpDown, "{session}",
		"Sessions of clients that are open.", nil,
	}
	alertsSent = Instrument{
		"interlock.alerts.sent", "interlock_alerts_sent_total", kindCounter, "{alert}",
		"Alerts by event and by what became of them at one receiver.",
		[]string{labelEvent, labelOutcome},
	}
	signIns = Instrument{
		"interlock.sign_ins", "interlock_sign_ins_total", kindCounter, "{sign_in}",
		"Sign-ins to an upstream by outcome: done, refused (by its authorization server, or by the person there), or failed.",
		[]string{AttrUpstream, labelOutcome},
	}
	tokenRenewals = Instrument{
		"interlock.token.renewals", "interlock_token_renewals_total", kindCounter, "{renewal}",
		"Renewals of access tokens by outcome: done, failed (it is tried again), or over (a person has to sign in again).",
		[]string{AttrUpstream, labelOutcome},
	}
	telemetryDropped = Instrument{
		"interlock.telemetry.dropped", "interlock_telemetry_dropped_total", kindCounter, "{item}",
		"Spans, batches of metrics and lines of the log that were to be exported and were not: the collector was away or too slow.",
		[]string{labelSignal},
	}
)

// Of the process that the gateway is, under the names of the conventions. What
// the system does not tell is left out.
var (
	processCPU = Instrument{
		"process.cpu.time", "process_cpu_time_seconds_total", kindCounter, "s",
		"Processor time of the gateway, in user and in system mode.",
		[]string{"cpu.mode"},
	}
	processMemory = Instrument{
		"process.memory.usage", "process_memory_usage_bytes", kindUpDown, "By",
		"Physical memory of the gateway.", nil,
	}
	processVirtual = Instrument{
		"process.memory.virtual", "process_memory_virtual_bytes", kindUpDown, "By",
		"Address space of the gateway.", nil,
	}
	processThreads = Instrument{
		"process.thread.count", "process_thread_count", kindUpDown, "{thread}",
		"Threads of the gateway.", nil,
	}
	processFiles = Instrument{
		"process.unix.file_descriptor.count", "process_unix_file_descriptor_count", kindUpDown, "{file_descriptor}",
		"File descriptors that the gateway has open (not on Windows).", nil,
	}
	processHandles = Instrument{
		"process.windows.handle.count", "process_windows_handle_count", kindUpDown, "{handle}",
		"Handles that the gateway has open (on Windows alone).", nil,
	}
	processUptime = Instrument{
		"process.uptime", "process_uptime_seconds", kindGauge, "s",
		"How long the gateway runs.", nil,
	}
)

// goInstruments are those that contrib/instrumentation/runtime makes.
var goInstruments = []Instrument{
	{"go.memory.used", "go_memory_used_bytes", kindUpDown, "By", "Memory used by the Go runtime.", []string{"go.memory.type"}},
	{"go.memory.limit", "go_memory_limit_bytes", kindUpDown, "By", "Memory limit of the Go runtime, if one is set (GOMEMLIMIT).", nil},
	{"go.memory.allocated", "go_memory_allocated_bytes_total", kindCounter, "By", "Memory allocated to the heap.", nil},
	{"go.memory.allocations", "go_memory_allocations_total", kindCounter, "{allocation}", "Allocations to the heap.", nil},
	{"go.memory.gc.goal", "go_memory_gc_goal_bytes", kindUpDown, "By", "Heap size at which the collection that goes on is to end.", nil},
	{"go.goroutine.count", "go_goroutine_count", kindUpDown, "{goroutine}", "Live goroutines.", nil},
	{"go.processor.limit", "go_processor_limit", kindUpDown, "{thread}", "Threads that can run Go code at once.", nil},
	{"go.config.gogc", "go_config_gogc_percent", kindUpDown, "%", "Growth of the heap between collections (GOGC).", nil},
}

// Instruments returns every metric there is, for the documentation. What
// Prometheus gets besides are the standard metrics of its own Go client, go_* and
// process_*, and target_info.
func Instruments() []Instrument {
	return append([]Instrument{
		serverDuration, clientDuration, serverSession, clientSession,
		upstreamState, upstreamRestarts, upstreamChecks, upstreamAvailability, breakerState, breakerTransitions,
		queueDepth, callsRejected, policyDecisions, policyDuration, pluginRestarts, catalogTools, sessionsActive, alertsSent, signIns, tokenRenewals, telemetryDropped,
		processCPU, processMemory, processVirtual, processThreads, processFiles, processHandles, processUptime,
	}, goInstruments...)
}
