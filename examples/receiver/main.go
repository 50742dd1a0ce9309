// Command receiver is the other end of a webhook, as small as can be: it prints
// the alerts that an Interlock sends it.
//
//	go run ./examples/receiver
//	interlock serve -c examples/alerts.yaml
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// alert is what a receiver needs of an alert's body. What it does not know it
// passes over: there may be more some day.
type alert struct {
	ID        string     `json:"id"`
	Event     string     `json:"event"`
	Upstream  string     `json:"upstream"`
	State     string     `json:"state"`
	At        time.Time  `json:"at"`
	DownSince *time.Time `json:"down_since"`
	Text      string     `json:"text"`
}

// receiver prints each alert once.
type receiver struct {
	out io.Writer

	mu   sync.Mutex // guards what follows
	seen map[string]bool
}

// ServeHTTP takes an alert. What it answers decides: 2xx is a delivery, 4xx is
// never sent again, and anything else is tried four times more.
func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var a alert
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&a); err != nil || a.ID == "" {
		http.Error(w, "this is no alert", http.StatusBadRequest)
		return
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	// An answer that is lost on the way makes the sender try again: the id is the same.
	if !rc.seen[a.ID] {
		rc.seen[a.ID] = true
		fmt.Fprintf(rc.out, "%s  %-14s  %s\n", a.At.Format(time.TimeOnly), a.Event, a.Text)
	}
	w.WriteHeader(http.StatusNoContent)
}

func main() {
	srv := &http.Server{
		Addr:              "127.0.0.1:9000",
		Handler:           &receiver{out: os.Stdout, seen: make(map[string]bool)},
		ReadHeaderTimeout: 10 * time.Second,
	}
	fmt.Println("http://" + srv.Addr)
	fmt.Fprintln(os.Stderr, srv.ListenAndServe())
	os.Exit(1)
}
