// Command ticket-stats-go is a GoatFlow plugin that counts tickets per queue and per state. Its twin ticket-stats-c is
// written in C and gives the same answers, byte by byte.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"strings"
	"time"

	plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
)

func init() {
	plugin.Register(registration)
	plugin.Handle("overview", overview)
	plugin.Handle("widget", widget)
	plugin.Handle("ticket", ticket)
	plugin.Handle("users", users)
	plugin.Handle("remember", remember)
	plugin.Handle("recall", recall)
	plugin.Handle("refresh", refresh)
	plugin.Handle("log", logLevels)
}

func main() {}

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
	oneTicket = "SELECT t.id, t.tn, t.title, q.name AS queue, s.name AS state FROM ticket t" +
		" JOIN queue q ON q.id = t.queue_id JOIN ticket_state s ON s.id = t.ticket_state_id WHERE t.id = ?"
)

func count() (Totals, error) {
	var totals Totals
	if err := plugin.DB.QueryInto(&totals.ByQueue, perQueue); err != nil {
		return totals, err
	}
	if err := plugin.DB.QueryInto(&totals.ByState, perState); err != nil {
		return totals, err
	}
	for _, queue := range totals.ByQueue {
		totals.Total += queue.Tickets
	}
	return totals, nil
}

// overview counts all tickets, per queue and per state.
func overview(*plugin.Call) (any, error) {
	return count()
}

// widget shows the queues on the dashboard. Names come from people, so they are escaped.
func widget(*plugin.Call) (any, error) {
	totals, err := count()
	if err != nil {
		return nil, err
	}
	var page strings.Builder
	fmt.Fprintf(&page, `<table class="ticket-stats"><caption>%d tickets</caption>`, totals.Total)
	for _, queue := range totals.ByQueue {
		fmt.Fprintf(&page, "<tr><td>%s</td><td>%d</td></tr>", html.EscapeString(queue.Queue), queue.Tickets)
	}
	page.WriteString("</table>")
	return plugin.HTML{HTML: page.String()}, nil
}

// ticket returns the ticket {"id": n}; as a route it receives the number as text.
func ticket(call *plugin.Call) (any, error) {
	var args struct{ ID json.Number }
	if err := call.Bind(&args); err != nil {
		return nil, errors.New("id must be a whole number")
	}
	id, err := args.ID.Int64()
	if err != nil {
		return nil, errors.New("id must be a whole number")
	}
	var found []struct {
		ID    int64  `json:"id"`
		TN    string `json:"tn"`
		Title string `json:"title"`
		Queue string `json:"queue"`
		State string `json:"state"`
	}
	if err := plugin.DB.QueryInto(&found, oneTicket, id); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("no such ticket")
	}
	return found[0], nil
}

// users tries to read what plugin.yaml does not ask for, and reports how the host answers.
func users(*plugin.Call) (any, error) {
	var logins []struct {
		Login string `json:"login"`
	}
	err := plugin.DB.QueryInto(&logins, "SELECT login FROM users ORDER BY login")
	if refusal, ok := errors.AsType[*plugin.Error](err); ok {
		return struct {
			Denied  bool   `json:"denied"`
			Code    string `json:"code"`
			Message string `json:"message"`
		}{strings.HasPrefix(refusal.Code, "policy."), refusal.Code, refusal.Message}, nil
	}
	return struct {
		Denied bool `json:"denied"`
		Users  any  `json:"users"`
	}{false, logins}, err
}

// remember keeps the text {"key": "…", "value": "…"} in the cache for an hour.
func remember(call *plugin.Call) (any, error) {
	var args struct{ Key, Value string }
	if err := call.Bind(&args); err != nil || args.Key == "" {
		return nil, errors.New("key and value must be text")
	}
	if err := plugin.Cache.Set(args.Key, []byte(args.Value), time.Hour); err != nil {
		return nil, err
	}
	return map[string]bool{"ok": true}, nil
}

// recall returns the text kept under {"key": "…"}.
func recall(call *plugin.Call) (any, error) {
	var args struct{ Key string }
	if err := call.Bind(&args); err != nil || args.Key == "" {
		return nil, errors.New("key must be text")
	}
	value, found, err := plugin.Cache.Get(args.Key)
	return struct {
		Found bool   `json:"found"`
		Value string `json:"value"`
	}{found, string(value)}, err
}

// refresh is the scheduled job: it keeps the overview in the cache, where recall finds it.
func refresh(*plugin.Call) (any, error) {
	totals, err := count()
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(totals)
	if err != nil {
		return nil, err
	}
	return nil, plugin.Cache.Set("overview", document, time.Hour)
}

// logLevels writes one line at each level.
func logLevels(*plugin.Call) (any, error) {
	plugin.Log.Debug("ticket-stats: a debug line")
	plugin.Log.Info("ticket-stats: an info line")
	plugin.Log.Warn("ticket-stats: a warning")
	plugin.Log.Error("ticket-stats: an error line")
	return map[string]int{"logged": 4}, nil
}
