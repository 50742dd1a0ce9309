package config

// supported refuses keys that a later version gives a meaning. Ignored, they would
// promise what is not done.
func (l *loader) supported(root *node) {
	l.supportedUpstream([]string{"defaults"}, root.find("defaults"))
	if ups := root.find("upstreams"); ups != nil {
		for _, m := range ups.members {
			l.supportedUpstream([]string{"upstreams", m.key}, m.value)
		}
	}
}

func (l *loader) supportedUpstream(path []string, n *node) {
	if m := n.member("auth"); m != nil && !m.value.empty() {
		l.problems.add(m.at, dotted(child(path, "auth")), `"auth" is not supported by this version`, "send a header: headers: {Authorization: ...}")
	}
}
