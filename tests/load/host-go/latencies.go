package main

import (
	"math/bits"
	"time"
)

// steps is how finely each power of two is divided: durations are known within 3 %.
const steps = 32

// histogram counts durations.
type histogram struct {
	count   int64
	buckets [64 * steps]int64
}

func (h *histogram) note(took time.Duration) {
	ns := max(uint64(took), steps)
	octave := uint(bits.Len64(ns)) - 1
	h.buckets[octave*steps+uint(ns>>(octave-5))&(steps-1)]++
	h.count++
}

func (h *histogram) join(other *histogram) {
	h.count += other.count
	for i, count := range other.buckets {
		h.buckets[i] += count
	}
}

// us is the duration that share of all don't exceed, in microseconds.
func (h *histogram) us(share float64) float64 {
	wanted, seen := int64(float64(h.count)*share), int64(0)
	for i, count := range h.buckets {
		if seen += count; seen > wanted {
			return float64(uint64(steps+i%steps)<<max(i/steps-5, 0)) / 1000
		}
	}
	return 0
}

func (h *histogram) document() map[string]any {
	return map[string]any{"calls": h.count, "p50_us": h.us(0.5), "p99_us": h.us(0.99), "p999_us": h.us(0.999)}
}

// latencies are those of calls that take no time, by runtime: of modules, whose versions are 1.x, and of programs.
type latencies struct{ steady, swapping [2]histogram }

func (l *latencies) note(version string, steady, changing bool, took time.Duration) {
	runtime := 0
	if version != "" && version[0] == '2' {
		runtime = 1
	}
	if steady {
		l.steady[runtime].note(took)
	} else if changing {
		l.swapping[runtime].note(took)
	}
}

func (l *latencies) join(other *latencies) {
	for i := range l.steady {
		l.steady[i].join(&other.steady[i])
		l.swapping[i].join(&other.swapping[i])
	}
}

func (l *latencies) document() map[string]any {
	of := func(i int) map[string]any {
		return map[string]any{"steady": l.steady[i].document(), "swapping": l.swapping[i].document()}
	}
	return map[string]any{"module": of(0), "program": of(1)}
}
