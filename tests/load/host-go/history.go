package main

import (
	"log"
	"sync/atomic"
)

// entry is one version in service.
type entry struct {
	version    string
	crashes    bool
	answered   atomic.Bool
	overlapped atomic.Bool // it answered while a call of the version before was under way
}

// history is what served when: the versions of one plugin in the order in which they were put into service.
type history struct {
	entries  []entry
	settled  atomic.Int64 // the newest entry before which none serves any more
	started  atomic.Int64 // the newest entry that may serve already
	changing atomic.Bool  // an exchange is under way, perhaps one that will fail
}

func (h *history) begin(version string) {
	h.entries = make([]entry, 1<<16)
	h.entries[0].version = version
}

// start says that from now on version may answer as well.
func (h *history) start(version string, crashes bool) {
	next := h.started.Load() + 1
	if int(next) == len(h.entries) {
		log.Fatal("the history is full")
	}
	h.entries[next].version, h.entries[next].crashes = version, crashes
	h.started.Store(next)
}

// settle says that from now on new calls meet the newest version only.
func (h *history) settle() { h.settled.Store(h.started.Load()) }

func (h *history) serving() string { return h.entries[h.started.Load()].version }

// window is a call's view: what may serve it, from its begin to its end.
type window struct {
	oldest, newest int64
	changing       bool
}

func (h *history) open() window {
	changing := h.changing.Load()
	return window{oldest: h.settled.Load(), changing: changing}
}

func (h *history) close(w *window) {
	w.newest = h.started.Load()
	w.changing = w.changing || h.changing.Load() || w.newest != w.oldest
}

func (h *history) hasCrashing(w window) bool {
	for at := w.oldest; at <= w.newest; at++ {
		if h.entries[at].crashes {
			return true
		}
	}
	return false
}

// admits says whether the version may have answered. It notes that it did, and that two versions served side by side: this
// call began before the next version's, and ends after one of that version's has.
func (h *history) admits(w window, version string) bool {
	for at := w.newest; at >= w.oldest; at-- {
		found := &h.entries[at]
		if found.version != version {
			continue
		}
		found.answered.Store(true)
		if at < w.newest && h.entries[at+1].answered.Load() {
			h.entries[at+1].overlapped.Store(true)
		}
		return true
	}
	return false
}

func (h *history) overlaps() (count int) {
	for at := int64(0); at <= h.started.Load(); at++ {
		if h.entries[at].overlapped.Load() {
			count++
		}
	}
	return count
}
