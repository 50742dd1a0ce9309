package main

// severity says how bad a finding is.
type severity string

const (
	isError   severity = "error"   // something does not work
	isWarning severity = "warning" // something will not work, or not as it should
	isNote    severity = "note"    // worth knowing
)

// ailment is a kind of finding. Its code does not change: scripts ask for it.
type ailment struct {
	Code     string
	Severity severity
	// Means says what it is in a sentence, for the documentation. A finding has
	// the facts, and the mend that fits them.
	Means string
}

// ailments is all that doctor finds.
var ailments = []ailment{
	{"config_missing", isError, "There is no configuration file."},
	{"config_invalid", isError, "The configuration has a fault; file, line and column are told."},
	{"config_warning", isWarning, "The configuration is valid, and probably not what was meant."},
	{"config_not_read", isWarning, "The file says otherwise than the configuration that runs."},
	{"variable_unset", isError, "A variable that the configuration names is not set where doctor runs."},
	{"variable_wanted", isError, "A server that failed names a variable on stderr that it does not get."},

	{"command_missing", isError, "The command of a server is not in the PATH that the server gets, or is not executable."},
	{"cwd_missing", isError, "The folder that a server is to run in is not there."},
	{"start_failed", isError, "A server ended or answered with an error while it was started; its stage, exit and stderr are told."},
	{"start_timeout", isError, "A server did not come up within `start_timeout`."},
	{"start_slow", isWarning, "A server took more than half of its `start_timeout`, or more than 10 s."},
	{"start_downloads", isWarning, "A server is started by a program that looks for its package at each start, and downloads it at the first."},
	{"dependency_failed", isNote, "A server was not started since what it depends on was not."},
	{"upstream_unreachable", isError, "A remote server's address cannot be resolved or connected to."},
	{"tls_failed", isError, "The certificate of a remote server is not accepted, or ours is not."},
	{"needs_auth", isError, "Somebody has to sign in to a remote server before it answers, or to sign in again."},
	{"needs_scope", isWarning, "A remote server wants more for some of what it does than the sign-in was granted."},
	{"token_not_renewed", isWarning, "A sign-in could not be renewed for a reason that may pass; it is tried again."},
	{"sign_ins_unreadable", isError, "Which sign-ins there are cannot be read, and a remote server wants one; it is told which file is damaged, or whose mode is wrong."},
	{"auth_required", isError, "A remote server wants credentials, or others (401)."},
	{"auth_refused", isError, "A remote server knows who asks, and refuses (403)."},
	{"offers_nothing", isWarning, "A server is up and lists no tools, prompts or resources."},
	{"era", isNote, "Which protocol revision a server speaks."},
	{"protocol_worth_setting", isNote, "A server is slow to say that it is of an older revision: `protocol: legacy` saves that at its first start."},

	{"name_collision", isWarning, "Two tools, prompts or resources have one name: clients see one of them."},
	{"name_hidden", isWarning, "A name could mislead its reader, and is not listed."},
	{"name_too_long", isWarning, "A name is longer than `names.max` allows, with the prefix that clients put before it, and is listed under a shorter one."},
	{"name_replaced", isWarning, "A name has characters that model APIs refuse, and is listed under another."},
	{"name_unaccepted", isWarning, "A name passes as it is, and some model APIs refuse it."},
	{"definition_malformed", isWarning, "A definition is not what the protocol asks for, and is left out."},
	{"instructions_cut", isNote, "A server's instructions are longer than their share."},

	{"gateway_down", isNote, "No gateway runs for this configuration."},
	{"gateway_unreachable", isError, "The gateway at the address of `--admin` does not answer."},
	{"gateway_refuses", isError, "The gateway answers, and does not take our token."},
	{"gateway_of_others", isError, "The gateway that runs with this `state_dir` serves other configuration files."},
	{"gateway_not_ready", isError, "The gateway runs, and waits for a required server, or is going down."},
	{"upstream_error", isError, "A server of the running gateway is in error."},
	{"upstream_exhausted", isError, "A server of the running gateway has failed so often in a row that it is tried every 10 minutes only."},
	{"upstream_degraded", isWarning, "A server of the running gateway is neither healthy nor down."},
	{"upstream_stopped", isNote, "A server was stopped by an operator."},
	{"stdout_noise", isWarning, "A server writes lines on stdout that are no messages; they are skipped."},

	{"port_taken", isError, "An address that the gateway listens on is taken by another program."},
	{"state_dir_unwritable", isError, "The folder for what outlives the gateway cannot be made or written to."},
	{"socket_path_too_long", isError, "The path of the admin socket is longer than a unix socket's may be."},
	{"socket_dead", isWarning, "The admin socket is there and nobody listens on it: a gateway was killed."},
	{"limit_files", isWarning, "There may be more sessions and servers than file descriptors for them (RLIMIT_NOFILE)."},
	{"limit_processes", isWarning, "There may be more servers than processes for them (RLIMIT_NPROC, pids.max)."},
	{"limit_inotify", isWarning, "The configuration file cannot be watched: inotify's instances or watches are used up."},
	{"clock_wrong", isWarning, "The clock of this machine is behind its own files: certificates and tokens will be refused."},
}

// severityOf returns the severity of a code of ailments.
func severityOf(code string) severity {
	for _, a := range ailments {
		if a.Code == code {
			return a.Severity
		}
	}
	panic("doctor: no ailment is called " + code)
}
