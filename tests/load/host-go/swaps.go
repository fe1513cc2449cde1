package main

import (
	"context"
	"math/rand"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

// swapper exchanges the versions of one plugin.
type swapper struct {
	run  *run
	of   *loaded
	dice *rand.Rand
}

func (s *swapper) work() {
	for !s.run.stopSwapping.Load() {
		s.of.history.changing.Store(true)
		s.exchange()
		s.of.history.changing.Store(false)
		time.Sleep(time.Duration(s.dice.Intn(100)) * time.Millisecond)
	}
}

// options is an exchange that waits for no call of the old version.
func options(probation time.Duration) goatflowplugin.ReplaceOptions {
	return goatflowplugin.ReplaceOptions{Drain: new(time.Duration), Probation: &probation}
}

func (s *swapper) random() version {
	for {
		found := s.run.versions[s.dice.Intn(len(s.run.versions))]
		if found.plugin == s.of.name && (found.fate == good || s.dice.Intn(4) == 0) {
			return found
		}
	}
}

func (s *swapper) exchange() {
	ctx, next, before := context.Background(), s.random(), s.of.history.serving()
	how := options(0)
	if s.dice.Intn(5) == 0 {
		probation := 2 * time.Second
		how = goatflowplugin.ReplaceOptions{Probation: &probation}
	}
	switch {
	case next.fate == crashes:
		s.meetCrashing(next, before)
		return
	case next.fate != good:
		if _, err := s.run.manager.Replace(ctx, next.path, how); err == nil {
			s.run.protest(s.of.name, "a version was not refused: %s", next.path)
		}
		s.run.refused.Add(1)
		return
	case next.name == before:
		s.of.history.start(before, false)
		_, err := s.run.manager.Reload(ctx, s.of.name, how)
		must(err)
		s.run.reloaded.Add(1)
	default:
		s.of.history.start(next.name, false)
		_, err := s.run.manager.Replace(ctx, next.path, how)
		must(err)
	}
	s.of.history.settle()
	s.run.swaps.Add(1)
}

// meetCrashing puts a version that crashes into service: half of them go by themselves, half are taken back.
func (s *swapper) meetCrashing(next version, before string) {
	ctx, events, byItself := context.Background(), s.of.rolledBack.Load(), s.dice.Intn(2) == 0
	how := options(0)
	if byItself {
		how = options(time.Hour)
	}
	s.of.history.start(next.name, true)
	_, err := s.run.manager.Replace(ctx, next.path, how)
	must(err)
	s.run.swaps.Add(1)
	if byItself {
		s.awaitRollback(events)
	} else {
		time.Sleep(time.Duration(s.dice.Intn(10)) * time.Millisecond)
		_, err := s.run.manager.Rollback(ctx, s.of.name, options(0))
		must(err)
	}
	s.run.rolledBack.Add(1)
	s.of.history.start(before, false)
	s.of.history.settle()
}

func (s *swapper) awaitRollback(events int64) {
	for deadline := time.Now().Add(time.Minute); s.of.rolledBack.Load() == events; {
		if time.Now().After(deadline) {
			s.run.protest(s.of.name, "a version that crashes was not taken back")
			return
		}
		time.Sleep(time.Millisecond)
	}
}
