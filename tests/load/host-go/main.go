// Command host-go is the load test through the Go binding. See ../run.sh; host-c and host-python do the same.
//
//	host-go CONFIG SCENARIO STEADY_SECONDS SWAPPING_SECONDS CALLS SWAPS [SEED]
//
// Goroutines call three plugins for the steady time without exchanges, then with, until the time is up and there were so
// many calls and exchanges. It prints one line of JSON; the exit code is 0 when every call was answered as it had to be.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

const (
	callers  = 32
	protests = 20
)

type fate string

const (
	good    fate = "good"
	crashes fate = "crashes"
)

// version is one that build.sh made.
type version struct {
	plugin, name, path string
	fate               fate
}

// loaded is a plugin, whatever its version.
type loaded struct {
	name             string
	history          history
	who              *goatflowplugin.Function
	rolledBack       atomic.Int64 // events of that kind
	answered, failed atomic.Int64 // calls, those of other plugins included
}

// run is one run of the test.
type run struct {
	manager  *goatflowplugin.Manager
	plugins  []*loaded
	versions []version

	swapping, stop, stopSwapping                                atomic.Bool
	calls, crashed, wrong, swaps, refused, rolledBack, reloaded atomic.Int64
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 7 {
		log.Fatal("usage: host-go CONFIG SCENARIO STEADY_SECONDS SWAPPING_SECONDS CALLS SWAPS [SEED]")
	}
	number := func(at int) float64 {
		value, err := strconv.ParseFloat(os.Args[at], 64)
		must(err)
		return value
	}
	seed := time.Now().UnixNano() % 1_000_000
	if len(os.Args) > 7 {
		seed = int64(number(7))
	}
	log.Printf("seed %d", seed)
	r := &run{versions: readScenario(os.Args[2])}
	r.open(os.Args[1])
	begin := time.Now()
	latencies := r.drive(seed, seconds(number(3)), seconds(number(4)), int64(number(5)), int64(number(6)))
	r.audit()
	r.report(latencies, time.Since(begin))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := r.manager.Shutdown(ctx)
	must(err)
	must(r.manager.Close())
	if r.wrong.Load() > 0 {
		os.Exit(1)
	}
}

func seconds(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// protest says what went wrong, the first times.
func (r *run) protest(plugin, format string, arguments ...any) {
	if r.wrong.Add(1) <= protests {
		log.Printf("WRONG: %s: %s", plugin, fmt.Sprintf(format, arguments...))
	}
}

func readScenario(path string) (versions []version) {
	file, err := os.Open(path)
	must(err)
	defer file.Close()
	for {
		var v version
		if _, err := fmt.Fscan(file, &v.plugin, &v.name, &v.fate, &v.path); err != nil {
			return versions
		}
		versions = append(versions, v)
	}
}

// open makes the host, with the first version of each plugin loaded.
func (r *run) open(config string) {
	document, err := os.ReadFile(config)
	must(err)
	library, err := goatflowplugin.Open("")
	must(err)
	r.manager, err = library.NewManager(document)
	must(err)
	must(r.manager.Declare(goatflowplugin.Declaration{Name: "load_pause", Permission: "org", Access: "read"}, pause))
	for _, v := range r.versions {
		if r.find(v.plugin) != nil {
			continue
		}
		p := &loaded{name: v.plugin}
		p.history.begin(v.name)
		_, err := r.manager.Load(v.path, nil)
		must(err)
		p.who, err = r.manager.Function(v.plugin, "who")
		must(err)
		r.plugins = append(r.plugins, p)
	}
	filter := map[string][]string{"kinds": {"plugin.rolled_back"}}
	_, err = r.manager.Subscribe(filter, func(event goatflowplugin.Event) { r.find(event.Plugin).rolledBack.Add(1) })
	must(err)
}

func (r *run) find(name string) *loaded {
	for _, p := range r.plugins {
		if p.name == name {
			return p
		}
	}
	return nil
}

// pause answers the host function of that name.
func pause(call goatflowplugin.HostCall) ([]byte, error) {
	var arguments struct{ MS int }
	if err := json.Unmarshal(call.Arguments, &arguments); err != nil {
		return nil, err
	}
	time.Sleep(time.Duration(arguments.MS) * time.Millisecond)
	return []byte("true"), nil
}

// drive makes the calls and the exchanges; it returns what the callers measured.
func (r *run) drive(seed int64, steady, swapping time.Duration, calls, swaps int64) []*latencies {
	var calling, exchanging sync.WaitGroup
	measured := make([]*latencies, callers)
	for i := range measured {
		measured[i] = &latencies{}
		c := &caller{run: r, dice: rand.New(rand.NewSource(seed + int64(i))), usesFunctions: i%2 == 1, latencies: measured[i]}
		calling.Go(c.work)
	}
	time.Sleep(steady)
	r.swapping.Store(true)
	since := time.Now()
	for i, p := range r.plugins {
		s := &swapper{run: r, of: p, dice: rand.New(rand.NewSource(seed + 1000 + int64(i)))}
		exchanging.Go(s.work)
	}
	for time.Since(since) < swapping || r.calls.Load() < calls || r.swaps.Load() < swaps {
		time.Sleep(10 * time.Millisecond)
	}
	r.stopSwapping.Store(true)
	exchanging.Wait()
	r.stop.Store(true)
	calling.Wait()
	return measured
}

// audit compares with the library's own books: every call it served is one that was answered here, and none is under way.
func (r *run) audit() {
	for _, p := range r.plugins {
		document, err := r.manager.Stats(p.name)
		must(err)
		var stats struct {
			Served   int64 `json:"served"`
			UnderWay int64 `json:"in_flight"`
		}
		must(json.Unmarshal(document, &stats))
		answered, failed := p.answered.Load(), p.failed.Load()
		if stats.UnderWay != 0 || stats.Served < answered || stats.Served > answered+failed {
			r.protest(p.name, "the library counted otherwise: %+v; %d answered, %d failed", stats, answered, failed)
		}
	}
}

func (r *run) report(measured []*latencies, took time.Duration) {
	all := &latencies{}
	for _, one := range measured {
		all.join(one)
	}
	overlapped := 0
	for _, p := range r.plugins {
		overlapped += p.history.overlaps()
	}
	document, err := json.Marshal(map[string]any{
		"host": "go", "callers": callers, "seconds": took.Seconds(), "calls": r.calls.Load(), "swaps": r.swaps.Load(),
		"overlapped": overlapped, "reloaded": r.reloaded.Load(), "rolled_back": r.rolledBack.Load(),
		"refused": r.refused.Load(), "crashed_calls": r.crashed.Load(), "wrong": r.wrong.Load(), "latency": all.document(),
	})
	must(err)
	fmt.Println(string(document))
}
