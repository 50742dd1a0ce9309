package router

import (
	"net/url"
	"path"
	"strings"
)

// Servers read URIs leniently: file:///a/%2e%2e/b is file:///b to most of them. A
// profile's rules are held against what a URI can mean, and not just against how it
// is spelt.

// decoded returns a URI without its fragment, its escapes undone and its dot
// segments resolved.
func decoded(uri string) string {
	uri, _, _ = strings.Cut(uri, "#")
	for range 3 { // some servers undo them twice
		next, err := url.PathUnescape(uri)
		if err != nil || next == uri {
			break
		}
		uri = next
	}
	before, segments := cutPath(uri)
	if !strings.Contains(segments, "/.") {
		return uri
	}
	var out []string
	all := strings.Split(segments, "/")
	for i, s := range all {
		last := i == len(all)-1
		switch {
		case s == "." || s == "..":
			if s == ".." && len(out) > 1 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return before + strings.Join(out, "/")
}

// plainest returns a decoded URI as those servers read it that also make nothing of
// the case of its scheme and host, of slashes that follow each other, of one at the
// end, and of a query.
func plainest(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	before, segments := cutPath(uri)
	if segments != "" {
		segments = path.Clean(segments)
	}
	return strings.ToLower(before) + segments
}

// cutPath takes a URI apart where its path begins.
func cutPath(uri string) (before, segments string) {
	at := 0
	if i := strings.Index(uri, "://"); i >= 0 {
		at = i + len("://")
	}
	if i := strings.IndexByte(uri[at:], '/'); i >= 0 {
		return uri[:at+i], uri[at+i:]
	}
	return uri, ""
}
