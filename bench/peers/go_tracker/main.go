// The tracker that one writes first: one mutex, two maps keyed by UUID. Prints nanoseconds a call, one line a case:
// threads, ids, ns.
package main

import (
	"fmt"
	"math/rand"
	"runtime"
	"sync"
	"time"
)

type id [16]byte

type tracker struct {
	sync.Mutex
	workspaces, users map[id]struct{}
	allowed, denied   int64
}

func (t *tracker) track(workspace, user id, allowed, denied int64) {
	t.Lock()
	t.workspaces[workspace] = struct{}{}
	t.users[user] = struct{}{}
	t.allowed += allowed
	t.denied += denied
	t.Unlock()
}

func ids(count int) []id {
	source := rand.New(rand.NewSource(1))
	made := make([]id, count)
	for i := range made {
		source.Read(made[i][:])
	}
	return made
}

func measure(threads, count int) float64 {
	runtime.GOMAXPROCS(threads)
	workspaces := ids(count)
	t := &tracker{workspaces: map[id]struct{}{}, users: map[id]struct{}{}}
	for _, w := range workspaces {
		t.track(w, w, 1, 0)
	}
	// The order is made beforehand, so that only the calls are timed.
	const distinct, calls = 1000000, 4000000
	sequence := make([]id, distinct)
	state := uint32(1)
	for i := range sequence {
		state = state*1664525 + 1013904223
		sequence[i] = workspaces[int(state>>4)%count]
	}
	var wait sync.WaitGroup
	start := time.Now()
	for thread := 0; thread < threads; thread++ {
		wait.Add(1)
		go func(share []id) {
			defer wait.Done()
			for round := 0; round < calls/distinct; round++ {
				for _, w := range share {
					t.track(w, w, 1, 0)
				}
			}
		}(sequence[thread*distinct/threads : (thread+1)*distinct/threads])
	}
	wait.Wait()
	return float64(time.Since(start).Nanoseconds()) / calls
}

func main() {
	for _, threads := range []int{1, 2} {
		for _, count := range []int{10000, 1000000} {
			fmt.Printf("%d %d %.1f\n", threads, count, measure(threads, count))
		}
	}
}
