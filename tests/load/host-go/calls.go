package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"time"
)

// caller calls random plugins.
type caller struct {
	run           *run
	dice          *rand.Rand
	usesFunctions bool
	latencies     *latencies
}

// made is what one call was: the plugin called, and the one that it asked, if any.
type made struct {
	called, asked       *loaded
	window, askedWindow window
}

type answer struct{ Version, Other, Error string }

func (c *caller) work() {
	for !c.run.stop.Load() {
		c.once()
	}
}

// once makes one call of a random kind. Of a thousand: 700 `who`, 150 host calls that take no time, 100 calls of another
// plugin, 40 that take up to 10 ms, 10 that take up to 200.
func (c *caller) once() {
	kind, which := c.dice.Intn(1000), c.dice.Intn(len(c.run.plugins))
	call := made{called: c.run.plugins[which]}
	function, arguments := "who", "{}"
	switch {
	case kind < 700:
	case kind < 800:
		call.asked = c.run.plugins[(which+1)%len(c.run.plugins)]
		function, arguments = "ask", fmt.Sprintf(`{"plugin":%q}`, call.asked.name)
		call.askedWindow = call.asked.history.open()
	default:
		most := 1
		if kind >= 990 {
			most = 201
		} else if kind >= 950 {
			most = 11
		}
		function, arguments = "pause", fmt.Sprintf(`{"ms":%d}`, c.dice.Intn(most))
	}
	steady := !c.run.swapping.Load()
	call.window = call.called.history.open()
	begin := time.Now()
	document, err := c.call(call.called, function, arguments)
	took := time.Since(begin)
	call.called.history.close(&call.window)
	if call.asked != nil {
		call.asked.history.close(&call.askedWindow)
	}
	c.run.calls.Add(1)
	if err != nil {
		c.run.judgeFailure(call, err)
		return
	}
	version := c.run.judgeAnswer(call, document)
	if kind < 700 {
		c.latencies.note(version, steady, call.window.changing, took)
	}
}

func (c *caller) call(p *loaded, function, arguments string) ([]byte, error) {
	if function == "who" && c.usesFunctions {
		return p.who.Call(context.Background(), []byte(arguments))
	}
	return c.run.manager.Call(context.Background(), p.name, function, []byte(arguments))
}

func (r *run) judgeFailure(call made, err error) {
	call.called.failed.Add(1)
	if call.asked != nil {
		call.asked.failed.Add(1) // or it answered, which nobody will ever know
	}
	if call.called.history.hasCrashing(call.window) {
		r.crashed.Add(1)
		return
	}
	r.protest(call.called.name, "a call failed: %v", err)
}

func (r *run) judgeAnswer(call made, document []byte) string {
	call.called.answered.Add(1)
	var a answer
	if err := json.Unmarshal(document, &a); err != nil || !call.called.history.admits(call.window, a.Version) {
		r.protest(call.called.name, "answered, but did not serve: %s", document)
	}
	if call.asked == nil {
		if a.Error != "" {
			r.protest(call.called.name, "a host call failed: %s", a.Error)
		}
		return a.Version
	}
	if a.Error != "" {
		call.asked.failed.Add(1)
		if call.asked.history.hasCrashing(call.askedWindow) {
			r.crashed.Add(1)
		} else {
			r.protest(call.asked.name, "another plugin's call failed: %s", a.Error)
		}
		return a.Version
	}
	call.asked.answered.Add(1)
	if !call.asked.history.admits(call.askedWindow, a.Other) {
		r.protest(call.asked.name, "answered another plugin, but did not serve: %s", document)
	}
	return a.Version
}
