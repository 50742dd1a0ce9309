package main

import (
	"context"
	"errors"
	"os"
	"runtime"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// errNobody says that the person did not come back.
var errNobody = errors.New("nobody came back from the sign-in in time")

// goThere has a person go to where an attempt is made, in the way that is wanted or
// possible, and blocks until they came back.
func (a *app) goThere(ctx context.Context, attempt *oauth.Attempt, back *callback, f *loginFlags) (*visit, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, errNobody)
	defer cancel()
	if f.headless {
		query, err := attempt.Headless(ctx)
		return &visit{query, make(chan farewell, 1)}, err
	}
	visits := make(chan visit, 1)
	back.serve(attempt.State, visits)
	why := browserless(runtime.GOOS, os.Getenv)
	var failed <-chan error
	if !f.noBrowser && why == "" {
		var err error
		if failed, err = openBrowser(attempt.URL); err != nil {
			why = "no browser could be opened: " + printable(err.Error())
		}
	}
	if failed == nil {
		a.byHand(ctx, attempt, back, why, visits)
		return came(ctx, visits, nil, nil)
	}
	a.errs.printf("%s in the browser that opens now. If none does, open this address:\n\n%s\n\n", a.signHere(attempt), attempt.URL)
	line := a.awaiting("waiting for you to come back from the browser, for " + f.timeout.String() + " at most; Ctrl-C ends it")
	defer line.stop()
	return came(ctx, visits, failed, func(err error) {
		line.above(func() {
			a.errs.printf("%s no browser could be opened (%s): open the address above yourself\n", a.errs.yellow("interlock:"), printable(err.Error()))
		})
	})
}

// came blocks until somebody comes back. broken is told why no browser opened.
func came(ctx context.Context, visits <-chan visit, failed <-chan error, broken func(error)) (*visit, error) {
	for {
		select {
		case v := <-visits:
			return &v, nil
		case err := <-failed:
			broken(err)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// byHand shows the address to who opens it themselves, on any machine, and takes
// what they paste of where that ended.
func (a *app) byHand(ctx context.Context, attempt *oauth.Attempt, back *callback, why string, visits chan<- visit) {
	if why != "" {
		why = " (" + why + ")"
	}
	a.errs.printf("%s in a browser, here or on another machine%s. Open this address:\n\n%s\n\n", a.signHere(attempt), why, attempt.URL)
	a.errs.printf("You end at %s?...; a browser on another machine cannot show that\npage: copy its address, paste it here and press Enter. Ctrl-C ends it.\n", back.uri)
	// A read of the terminal cannot be broken off: it ends with the program.
	go pasted(ctx, a.in, attempt.State, visits, func(text string) { a.errs.printf("%s %s\n", a.errs.yellow("interlock:"), text) })
}

// signHere says where a person signs in, so that they know the page when they see it.
func (a *app) signHere(attempt *oauth.Attempt) string {
	return "Sign in to " + a.errs.bold(attempt.Upstream) + " at " + a.errs.bold(printable(attempt.Issuer))
}
