// Command ticket-stats-native is a native GoatFlow plugin that counts tickets per queue and per state: the job of
// examples-plugins/ticket-stats-go, as a program of its own. The same sources build as a WebAssembly module, too.
package main

import (
	"encoding/json"
	"errors"
	"sync"
	"time"

	plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native"
)

func init() {
	plugin.Register(plugin.Registration{
		Name:        "ticket-stats-native",
		Version:     "1.0.0",
		Description: "Counts tickets per queue and per state",
		Author:      "GoatKit",
		License:     "Apache-2.0",
		Routes: []plugin.Route{
			{
				Method: "GET", Path: "/api/plugins/ticket-stats-native/overview", Handler: "overview",
				Middleware: []string{"auth"}, Description: "Tickets per queue and per state",
			},
			{
				Method: "GET", Path: "/api/plugins/ticket-stats-native/tickets/:id", Handler: "ticket",
				Middleware: []string{"auth"}, Description: "One ticket",
			},
		},
		Jobs: []plugin.Job{
			{ID: "refresh", Handler: "refresh", Schedule: "*/5 * * * *", Enabled: true, Timeout: "30s"},
		},
	})
	plugin.Handle("overview", overview)
	plugin.Handle("ticket", ticket)
	plugin.Handle("refresh", refresh)
	plugin.Handle("served", served)
}

func main() { native.Serve() }

// Totals is the answer of overview.
type Totals struct {
	Total   int64        `json:"total"`
	ByQueue []QueueTotal `json:"by_queue"`
	ByState []StateTotal `json:"by_state"`
}

// QueueTotal is the number of tickets in one queue.
type QueueTotal struct {
	Queue   string `json:"queue"`
	Tickets int64  `json:"tickets"`
}

// StateTotal is the number of tickets in one state.
type StateTotal struct {
	State   string `json:"state"`
	Tickets int64  `json:"tickets"`
}

// The most tickets first, equal numbers by name, queues and states without a ticket last.
const (
	perQueue = "SELECT q.name AS queue, COUNT(t.id) AS tickets FROM queue q LEFT JOIN ticket t ON t.queue_id = q.id" +
		" GROUP BY q.id, q.name ORDER BY tickets DESC, q.name"
	perState = "SELECT s.name AS state, COUNT(t.id) AS tickets FROM ticket_state s LEFT JOIN ticket t ON t.ticket_state_id = s.id" +
		" GROUP BY s.id, s.name ORDER BY tickets DESC, s.name"
	oneTicket = "SELECT t.id, t.tn, t.title FROM ticket t WHERE t.id = ?"
)

// overview counts all tickets, per queue and per state.
func overview(call *plugin.Call) (any, error) {
	calls.add()
	return count(call)
}

// count makes its two host calls at the same time, which only a native plugin can.
func count(call *plugin.Call) (Totals, error) {
	var totals Totals
	var byState error
	var group sync.WaitGroup
	group.Go(func() { byState = call.DB.QueryInto(&totals.ByState, perState) })
	byQueue := call.DB.QueryInto(&totals.ByQueue, perQueue)
	group.Wait()
	for _, queue := range totals.ByQueue {
		totals.Total += queue.Tickets
	}
	return totals, errors.Join(byQueue, byState)
}

// ticket returns the ticket {"id": n}; as a route it receives the number as text.
func ticket(call *plugin.Call) (any, error) {
	calls.add()
	var args struct{ ID json.Number }
	if err := call.Bind(&args); err != nil {
		return nil, errors.New("id must be a whole number")
	}
	id, err := args.ID.Int64()
	if err != nil {
		return nil, errors.New("id must be a whole number")
	}
	rows, err := call.DB.Query(oneTicket, id)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("no such ticket")
	}
	return rows[0], nil
}

// refresh is the scheduled job: it keeps the overview in the cache.
func refresh(call *plugin.Call) (any, error) {
	totals, err := count(call)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(totals)
	if err != nil {
		return nil, err
	}
	return nil, call.Cache.Set("overview", document, time.Hour)
}

// counter is shared by all calls, many of which run at the same time.
type counter struct {
	mutex sync.Mutex
	value int64
}

var calls counter

func (c *counter) add() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.value++
}

// served tells how many calls this process has served.
func served(*plugin.Call) (any, error) {
	calls.mutex.Lock()
	defer calls.mutex.Unlock()
	return map[string]int64{"served": calls.value}, nil
}
