package config

// later are the keys that a later version gives a meaning, and the values of
// other keys. Ignored, they would promise what is not done, so they are refused.
var laterUpstream = []string{"auth", "isolation"}

// supported refuses what this version does not do.
func (l *loader) supported(root *node) {
	l.supportedUpstream([]string{"defaults"}, root.find("defaults"))
	if ups := root.find("upstreams"); ups != nil {
		for _, m := range ups.members {
			l.supportedUpstream([]string{"upstreams", m.key}, m.value)
		}
	}
}

func (l *loader) supportedUpstream(path []string, n *node) {
	for _, key := range laterUpstream {
		m := n.member(key)
		if m == nil || m.value.empty() {
			continue
		}
		switch value := m.value.text; {
		case key == "auth":
			l.problems.add(m.at, dotted(child(path, key)), `"auth" is not supported by this version`, "send a header: headers: {Authorization: ...}")
		case key == "isolation" && value == "principal":
			l.problems.add(m.value.at, dotted(child(path, key)), quote(key)+": "+m.value.show()+" is not supported by this version", "")
		}
	}
}
