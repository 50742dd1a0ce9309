package main

import (
	"context"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
)

// rugPull: on the first day all is well. Then the server's next version comes out.
func rugPull(ctx context.Context, s *scene) (ending, error) {
	a, err := s.enter(ctx, "")
	if err != nil {
		return ending{}, err
	}
	err = a.look(ctx)
	a.close()
	if err != nil {
		return ending{}, err
	}
	if err := s.stop(); err != nil {
		return ending{}, err
	}
	if err := os.WriteFile(updated(s.loot), nil, 0o600); err != nil {
		return ending{}, err
	}
	if a, err = s.enter(ctx, ""); err != nil {
		return ending{}, err
	}
	defer a.close()
	if err := a.look(ctx); err != nil {
		return ending{}, err
	}
	if _, err := a.call(ctx, "weather__forecast", map[string]string{"city": "Paris"}); err != nil {
		return ending{}, err
	}
	return s.end(a, "canary", "the weather server has the private key")
}

// shadowing: the agent never uses the formatter. It only read what it says.
func shadowing(ctx context.Context, s *scene) (ending, error) {
	a, err := s.enter(ctx, "")
	if err != nil {
		return ending{}, err
	}
	defer a.close()
	if err := a.look(ctx); err != nil {
		return ending{}, err
	}
	if _, err := a.call(ctx, "mail__send", map[string]string{"to": "bob@example.com", "text": "the figures, as agreed"}); err != nil {
		return ending{}, err
	}
	end, err := s.end(a, "mallory@evil.example", "the mail to Bob went to mallory@evil.example")
	if !end.worked {
		end.told = "the mail went to Bob: the formatter's tool is not listed"
	}
	return end, err
}

// exfiltration: a harmless task, whose text is somebody else's.
func exfiltration(ctx context.Context, s *scene) (ending, error) {
	a, err := s.enter(ctx, "")
	if err != nil {
		return ending{}, err
	}
	defer a.close()
	text, err := a.call(ctx, "issues__get", map[string]string{"id": "17"})
	if err != nil {
		return ending{}, err
	}
	if err := a.obey(ctx, text); err != nil {
		return ending{}, err
	}
	return s.end(a, "canary", "the private key is in a URL of evil.example")
}

// confusedDeputy: the intern's key is good, and for reading.
func confusedDeputy(ctx context.Context, s *scene) (ending, error) {
	a, err := s.enter(ctx, s.key)
	if err != nil {
		return ending{}, err
	}
	defer a.close()
	if _, err := a.call(ctx, "repos__list", map[string]string{}); err != nil {
		return ending{}, err
	}
	if len(a.did) > 0 {
		return ending{false, "reading is refused, too: " + a.refusals()}, nil
	}
	if _, err := a.call(ctx, "repos__delete", map[string]string{"name": "production"}); err != nil {
		return ending{}, err
	}
	return s.end(a, "deleted production", "the intern deleted production with the gateway's token")
}

// tokenPassthrough: without Interlock there is a plain proxy in its place, which
// hands on what it is given.
func tokenPassthrough(ctx context.Context, s *scene) (ending, error) {
	serve, end := helperOverHTTP(s.loot)
	defer end()
	remote := httptest.NewServer(serve)
	defer closed(remote)
	var (
		a   *agent
		err error
	)
	if s.guarded {
		s.env = append(s.env, "HELPER="+remote.URL)
		a, err = s.enter(ctx, s.key)
	} else {
		to, perr := url.Parse(remote.URL)
		if perr != nil {
			return ending{}, perr
		}
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
		defer closed(proxy)
		a, err = newAgent(ctx, proxy.URL, s.key)
	}
	if err != nil {
		return ending{}, err
	}
	defer a.close()
	name := "search"
	if s.guarded {
		name = "helper__search"
	}
	if _, err := a.call(ctx, name, map[string]string{"query": "blue", "token": s.key}); err != nil {
		return ending{}, err
	}
	over, err := s.end(a, s.key, "the server has the token, from the header and as an argument")
	if !over.worked {
		over.told = "no header of the client's goes on; " + over.told
	}
	return over, err
}

// closed closes a server that somebody may still listen to.
func closed(s *httptest.Server) {
	s.CloseClientConnections()
	s.Close()
}
