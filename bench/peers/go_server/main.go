// The server that one writes in an afternoon: net/http, encoding/json, a mutex and maps. Nothing is durable.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
)

type event struct {
	WorkspaceID string `json:"workspace_id"`
	OwnerID     string `json:"owner_id"`
	Allowed     int64  `json:"allowed"`
	Denied      int64  `json:"denied"`
}

type tracker struct {
	sync.Mutex
	workspaces, users map[string]struct{}
	allowed, denied   int64
}

func (t *tracker) track(e event) {
	t.Lock()
	t.workspaces[e.WorkspaceID] = struct{}{}
	t.users[e.OwnerID] = struct{}{}
	t.allowed += e.Allowed
	t.denied += e.Denied
	t.Unlock()
}

func main() {
	t := &tracker{workspaces: map[string]struct{}{}, users: map[string]struct{}{}}
	http.HandleFunc("/api/v1/boundary-usage/events", func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Get("Authorization")) < 10 {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		accepted := 0
		if r.Header.Get("Content-Type") == "application/x-ndjson" {
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				var e event
				if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
				t.track(e)
				accepted++
			}
		} else {
			var e event
			if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			t.track(e)
			accepted = 1
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"accepted": %d}`, accepted)
	})
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := http.Serve(listener, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
