package goatflowplugin

// #include "shim.h"
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"time"
)

// ReplaceOptions say how one version of a plugin is put in place of another. The zero value is the default.
type ReplaceOptions struct {
	// Drain is how long calls of the old version are waited for; nil = the time that its policy gives a call. 0 waits for
	// none, which a callback of the plugin itself needs.
	Drain *time.Duration
	// SkipProbe takes the new version without asking whether it is healthy.
	SkipProbe bool
	// Probation is how long the new version is held against the old one, and taken back if it is much worse; nil = what the
	// plugin's policy says, 0 = not at all.
	Probation *time.Duration
}

// MarshalJSON is the document the library takes.
func (o ReplaceOptions) MarshalJSON() ([]byte, error) {
	document := struct {
		DrainMS     *int64 `json:"drain_ms,omitempty"`
		Probe       *bool  `json:"probe,omitempty"`
		ProbationMS *int64 `json:"probation_ms,omitempty"`
	}{DrainMS: wholeMilliseconds(o.Drain), ProbationMS: wholeMilliseconds(o.Probation)}
	if o.SkipProbe {
		document.Probe = new(bool)
	}
	return json.Marshal(document)
}

// wholeMilliseconds rounds up.
func wholeMilliseconds(duration *time.Duration) *int64 {
	if duration == nil {
		return nil
	}
	milliseconds := int64((*duration + time.Millisecond - 1) / time.Millisecond)
	return &milliseconds
}

// SwapReport says what an exchange of versions did.
type SwapReport struct {
	Plugin string `json:"plugin"`
	// Kind is "replaced", "reloaded" or "rolled_back".
	Kind          string `json:"kind"`
	OldVersion    string `json:"old_version"`
	NewVersion    string `json:"new_version"`
	OldGeneration uint64 `json:"old_generation"`
	Generation    uint64 `json:"generation"`
	Enabled       bool   `json:"enabled"`
	// Drained is true when no call of the old version runs any more; otherwise CallsRunning do.
	Drained      bool   `json:"drained"`
	CallsRunning uint64 `json:"calls_running"`
	ProbationMS  uint64 `json:"probation_ms"`
	// Changes has what the new version registers differently: routes, menu_items, widgets, jobs, templates, i18n and
	// error_codes, each only if it changed.
	Changes map[string]RegistrationChange `json:"changes"`
	// AsksForMore has a line for everything that the new version asks for beyond the old one; nothing of it is granted.
	AsksForMore []string `json:"asks_for_more"`
	// Collisions has what other plugins register, too.
	Collisions []Collision `json:"collisions"`
	Warnings   []string    `json:"warnings"`
}

// RegistrationChange is what is different in one section of a registration.
type RegistrationChange struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Changed []string `json:"changed"`
}

// Collision is an item that another plugin registers, too.
type Collision struct {
	Section string `json:"section"`
	Item    string `json:"item"`
	Plugin  string `json:"plugin"`
}

// Health is what is known about the health of a plugin.
type Health struct {
	Plugin string `json:"plugin"`
	// State is "unknown", "healthy", "unhealthy" or "crash_loop".
	State               string `json:"state"`
	ConsecutiveFailures uint64 `json:"consecutive_failures"`
	// LastProbe is nil when the plugin was never asked.
	LastProbe *ProbeResult `json:"last_probe"`
	Recovery  Recovery     `json:"recovery"`
}

// ProbeResult is what came of asking a plugin whether it is healthy.
type ProbeResult struct {
	At            time.Time       `json:"at"`
	Healthy       bool            `json:"healthy"`
	TookMicros    uint64          `json:"took_us"`
	ErrorDocument json.RawMessage `json:"error"`
}

// Recovery counts failures of a plugin, and how often it was started again.
type Recovery struct {
	Failures       uint64 `json:"failures"`
	RecentFailures uint64 `json:"recent_failures"`
	Restarts       uint64 `json:"restarts"`
	// CrashLoop is true when it failed too often and is not started again before [Manager.ResetCrashLoop].
	CrashLoop bool `json:"crash_loop"`
}

// ShutdownReport says what became of each plugin.
type ShutdownReport struct {
	Drained bool             `json:"drained"`
	Plugins []ShutdownPlugin `json:"plugins"`
}

// ShutdownPlugin says what became of one plugin.
type ShutdownPlugin struct {
	Plugin string `json:"plugin"`
	// Outcome is "stopped", "killed" or "still_busy".
	Outcome       string          `json:"outcome"`
	Drained       bool            `json:"drained"`
	CallsRunning  uint64          `json:"calls_running"`
	ErrorDocument json.RawMessage `json:"error"`
}

// IsolationReport says how well this machine isolates native plugins.
type IsolationReport struct {
	// Level is 0 (not at all) to 4.
	Level  int              `json:"level"`
	Layers []IsolationLayer `json:"layers"`
}

// IsolationLayer is one layer of the isolation.
type IsolationLayer struct {
	Name string `json:"name"`
	// State is "ok", "reduced" or "missing".
	State  string `json:"state"`
	Fact   string `json:"fact"`
	Reason string `json:"reason"`
	// Remedy is what an administrator can do about a missing layer.
	Remedy string `json:"remedy"`
}

// Replace puts what is at path in place of the loaded plugin of the same name, without losing a call. Whatever fails, the
// old version serves on.
//
// When the context ends before, Replace returns and the exchange goes on by itself; the event plugin.swapped or
// plugin.failed tells how it ended.
func (m *Manager) Replace(ctx context.Context, path string, options ReplaceOptions) (*SwapReport, error) {
	return m.exchange(ctx, C.GFP_REPLACE, path, options)
}

// Reload loads a plugin again from where it came from, an installed package in its current version, and puts that in place
// of what serves, as [Manager.Replace].
func (m *Manager) Reload(ctx context.Context, plugin string, options ReplaceOptions) (*SwapReport, error) {
	return m.exchange(ctx, C.GFP_RELOAD, plugin, options)
}

// Rollback puts the version before the one that serves back into service, as [Manager.Replace];
// ErrLifecycleNoPrevious if there is none.
func (m *Manager) Rollback(ctx context.Context, plugin string, options ReplaceOptions) (*SwapReport, error) {
	return m.exchange(ctx, C.GFP_ROLLBACK, plugin, options)
}

// exchange makes an exchange on this goroutine if the context never ends; a callback of the plugin may need that.
func (m *Manager) exchange(
	ctx context.Context, which C.int, of string, options ReplaceOptions,
) (*SwapReport, error) {
	encoded, err := document(options)
	if err != nil {
		return nil, err
	}
	if ctx.Done() == nil {
		return m.exchangeHere(which, of, encoded)
	}
	if err := ctx.Err(); err != nil {
		return nil, contextError("", err)
	}
	type outcome struct {
		report *SwapReport
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		report, err := m.exchangeHere(which, of, encoded)
		done <- outcome{report, err}
	}()
	select {
	case outcome := <-done:
		return outcome.report, outcome.err
	case <-ctx.Done():
		return nil, contextError("", ctx.Err())
	}
}

func (m *Manager) exchangeHere(which C.int, of string, options []byte) (*SwapReport, error) {
	return decoded[SwapReport](m.exchangeDocument(which, of, options))
}

func (m *Manager) exchangeDocument(which C.int, of string, options []byte) (json.RawMessage, error) {
	start, length := text(of)
	optionsStart, optionsLen := textOf(options)
	var out C.gfp_out
	status := C.gfp_exchange(
		m.core.library.table, which, m.core.handle, start, length, optionsStart, optionsLen, &out)
	runtime.KeepAlive(m)
	return m.core.library.takeDocument(status, &out)
}

// Health is what is known about a plugin; it asks nobody.
func (m *Manager) Health(plugin string) (*Health, error) {
	return decoded[Health](m.documentOf(C.GFP_HEALTH, plugin))
}

// Probe asks a plugin now whether it is healthy, within the configured time. That it is not is no error.
func (m *Manager) Probe(plugin string) (*Health, error) {
	return decoded[Health](m.documentOf(C.GFP_PROBE, plugin))
}

// ResetCrashLoop forgets a plugin's failures, so that one that failed too often is started again.
func (m *Manager) ResetCrashLoop(plugin string) (*Health, error) {
	return decoded[Health](m.documentOf(C.GFP_RESET_CRASH_LOOP, plugin))
}

// ShutdownReport is [Manager.Shutdown] with a typed report.
func (m *Manager) ShutdownReport(ctx context.Context) (*ShutdownReport, error) {
	return decoded[ShutdownReport](m.Shutdown(ctx))
}

// IsolationReport builds a real jail to find out how well this machine isolates native plugins; nothing is remembered.
func (l *Library) IsolationReport() (*IsolationReport, error) {
	return decoded[IsolationReport](l.document(C.GFP_ISOLATION))
}

// WatchOptions say how a plugin is watched. The zero value is the default.
type WatchOptions struct {
	// Mode is "auto" or "polling".
	Mode string `json:"mode,omitempty"`
	// QuietMS is how long nothing must have changed before a change is taken up.
	QuietMS uint64 `json:"quiet_ms,omitempty"`
	// PollMS is how often is looked when polling.
	PollMS uint64 `json:"poll_ms,omitempty"`
}

// Watch loads a plugin again by itself whenever what it came from changes on disk. target is the name of a loaded plugin, or
// a path. For development.
func (m *Manager) Watch(target string, options WatchOptions) (json.RawMessage, error) {
	encoded, err := document(options)
	if err != nil {
		return nil, err
	}
	return m.exchangeDocument(C.GFP_WATCH, target, encoded)
}

// Unwatch watches a plugin or path no more; the plugin stays loaded.
func (m *Manager) Unwatch(target string) error {
	_, err := m.exchangeDocument(C.GFP_UNWATCH, target, nil)
	return err
}

// Watches is everything that is watched, and what became of it.
func (m *Manager) Watches() (json.RawMessage, error) {
	return m.exchangeDocument(C.GFP_WATCHES, "", nil)
}

// decoded is a document of the library as a T.
func decoded[T any](document json.RawMessage, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	report := new(T)
	if err := decode(document, report); err != nil {
		return nil, err
	}
	return report, nil
}
