package telemetry

// Names of spans of what is between requests. Requests that last, such as a
// subscriptions/listen, have a span until they are acknowledged and another at their
// end: none is open for hours.
const (
	// SpanStreamOpen is a GET stream, or one of the older HTTP+SSE transport, that a
	// client opened, until it was there. It has [AttrStream], [AttrResumed],
	// [AttrSessionID], [AttrProtocolVersion], [AttrTransport] and [AttrClientAddress].
	SpanStreamOpen = "stream open"
	// SpanStreamEnd is the end of such a stream or of a subscriptions/listen, in a trace
	// of its own with a link to its beginning. It has [AttrStream], [AttrStreamEvents],
	// [AttrLasted] and [AttrEnding].
	SpanStreamEnd = "stream end"
	// SpanSessionEnd is the end of a client's session, in a trace of its own with a link
	// to its initialize. It has [AttrSessionID], [AttrProtocolVersion],
	// [AttrTransport], [AttrLasted] and [AttrEnding].
	SpanSessionEnd = "session end"
)

// Names of events in the CLIENT span of a call.
const (
	// EventProgress is the first message of progress, and at its time the last. It has
	// [AttrProgress] and [AttrProgressTotal].
	EventProgress = "interlock.progress"
	// EventMessage is a log message of the server, eight of a call at most. It has
	// [AttrMessageLevel] and [AttrMessageLogger], never what was logged.
	EventMessage = "interlock.message"
	// EventQuestionRefused is a request of the server that the client is not asked. It
	// has [AttrMethod] and [AttrRefusal].
	EventQuestionRefused = "interlock.question.refused"
)

// Attributes of what is said during a call, and of what lasts.
const (
	// AttrProgressCount is how many messages of progress came, on a CLIENT span.
	AttrProgressCount = "interlock.progress.count"
	// AttrMessagesCount is how many log messages came, on a CLIENT span.
	AttrMessagesCount = "interlock.messages.count"
	// AttrNotificationsCount is how many other notifications came, on a CLIENT span.
	AttrNotificationsCount = "interlock.notifications.count"
	// AttrProgress is the progress as the server wrote it.
	AttrProgress = "interlock.progress.value"
	// AttrProgressTotal is the total that the server gave with it.
	AttrProgressTotal = "interlock.progress.total"
	// AttrMessageLevel is the level of the log message, and `_other` for none of MCP's.
	AttrMessageLevel = "interlock.message.level"
	// AttrMessageLogger is the name of the logger, cut at 64 characters.
	AttrMessageLogger = "interlock.message.logger"
	// AttrQuestionOutcome is what became of a request of the server to the client.
	AttrQuestionOutcome = "interlock.question.outcome"
	// AttrRefusal is why the client was not asked.
	AttrRefusal = "interlock.question.refusal"
	// AttrResultType is the type of the result where it is not complete: `input_required`
	// if the client is to ask again with what is asked of it, `task` if it has to come
	// back for the result.
	AttrResultType = "interlock.result.type"
	// AttrStream is which kind of stream it is.
	AttrStream = "interlock.stream.kind"
	// AttrResumed is whether the client came back for a stream that it had lost.
	AttrResumed = "interlock.stream.resumed"
	// AttrStreamEvents is how many messages the stream has carried.
	AttrStreamEvents = "interlock.stream.events"
	// AttrLasted is for how long it lasted, in milliseconds.
	AttrLasted = "interlock.lasted_ms"
	// AttrEnding is how it ended.
	AttrEnding = "interlock.ending"
)

// Values of [AttrQuestionOutcome].
const (
	// OutcomeAccept is an elicitation that was accepted.
	OutcomeAccept = "accept"
	// OutcomeDecline is one that was declined.
	OutcomeDecline = "decline"
	// OutcomeCancel is one that was dismissed.
	OutcomeCancel = "cancel"
	// OutcomeAnswered is an answer to another question.
	OutcomeAnswered = "answered"
	// OutcomeError is an error in the place of an answer.
	OutcomeError = "error"
	// OutcomeWithdrawn is a question that the server took back.
	OutcomeWithdrawn = "withdrawn"
	// OutcomeEnded is one that was open when its call ended.
	OutcomeEnded = "ended"
	// OutcomeUnreachable is one that could not be put to the client.
	OutcomeUnreachable = "unreachable"
)

// Values of [AttrStream].
const (
	// StreamGet is the GET stream of streamable HTTP.
	StreamGet = "get"
	// StreamSSE is the stream of the older HTTP+SSE transport.
	StreamSSE = "sse"
	// StreamListen is a subscriptions/listen.
	StreamListen = "listen"
)

// Values of [AttrEnding].
const (
	// EndingClosed is a connection that the client closed.
	EndingClosed = "closed"
	// EndingDeleted is a session that the client deleted.
	EndingDeleted = "deleted"
	// EndingIdle is a session that nobody used for session_timeout.
	EndingIdle = "idle"
	// EndingShutdown is the end of the gateway.
	EndingShutdown = "shutdown"
	// EndingSession is a stream whose session ended.
	EndingSession = "session"
	// EndingReplaced is a stream in whose place the client opened another.
	EndingReplaced = "replaced"
	// EndingComplete is a stream that had carried all there was.
	EndingComplete = "complete"
	// EndingSlow is a client that did not read.
	EndingSlow = "slow"
)

// Values of [AttrLink]: what ties requests to others.
const (
	// LinkParked is from a retry that brings input to the request that was answered
	// with input_required.
	LinkParked = "parked"
	// LinkTask is from a request for a task to the call that made it.
	LinkTask = "task"
	// LinkOpened is from the end of a stream or session to its beginning.
	LinkOpened = "opened"
	// LinkResumed is from a stream that a client came back for to the request whose
	// answer it carries.
	LinkResumed = "resumed"
)
