package goatflowplugin

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"runtime"
	"time"
)

// SuggestOptions says what a suggestion includes beyond what a plugin was refused or seen doing.
type SuggestOptions struct {
	// Sensitive also includes tables with people's data, secrets of the configuration, private networks, SQL functions.
	Sensitive bool `json:"sensitive"`
	// Declared also includes what the plugin declares and did not need so far.
	Declared bool `json:"declared"`
}

// Suggestion is the smallest policy that lets a plugin work.
type Suggestion struct {
	Plugin   string `json:"plugin"`
	Revision uint64 `json:"revision"`
	// Changes tells whether Document grants more than what is in force.
	Changes  bool             `json:"changes"`
	Document json.RawMessage  `json:"document"`
	Lines    []SuggestionLine `json:"lines"`
	LeftOut  []SuggestionLine `json:"left_out"`
}

// SuggestionLine is an entry of a policy, and what speaks for it.
type SuggestionLine struct {
	Entry     json.RawMessage `json:"entry"`
	New       bool            `json:"new"`
	Sensitive bool            `json:"sensitive"`
	// Reason is why the entry is left out.
	Reason   string          `json:"reason,omitempty"`
	Evidence json.RawMessage `json:"evidence"`
}

// Verdict answers whether a policy allows a host call.
type Verdict struct {
	Allow  bool   `json:"allow"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Rule   string `json:"rule"`
	Target string `json:"target"`
	// Suggestion is the smallest change that would allow the call; null if there is none, see NoSuggestion.
	Suggestion   json.RawMessage `json:"suggestion"`
	NoSuggestion string          `json:"no_suggestion"`
}

// PolicyChange is a row of the record of changes; its hash binds it to the row before it.
type PolicyChange struct {
	Seq      uint64 `json:"seq"`
	Time     string `json:"time"`
	Plugin   string `json:"plugin"`
	Action   string `json:"action"`
	Actor    string `json:"actor"`
	Revision uint64 `json:"revision"`
	Digest   string `json:"digest"`
	Document string `json:"document"`
	Hash     string `json:"hash"`
}

// SuggestPolicy is the smallest policy that lets a plugin work, with the evidence for each line. It changes nothing.
func (m *Manager) SuggestPolicy(plugin string, options SuggestOptions) (*Suggestion, error) {
	encoded, err := document(options)
	if err != nil {
		return nil, err
	}
	answer, err := m.askPolicy(C.GFP_POLICY_SUGGEST, plugin, encoded)
	if err != nil {
		return nil, err
	}
	suggestion := new(Suggestion)
	return suggestion, decode(answer, suggestion)
}

// ApplyPolicy accepts a suggestion and returns the new revision; ErrPolicyRevisionConflict if the policy was changed since
// the suggestion was made.
func (m *Manager) ApplyPolicy(plugin string, suggestion *Suggestion) (uint64, error) {
	encoded, err := document(suggestion)
	if err != nil {
		return 0, err
	}
	pluginStart, pluginLen := text(plugin)
	suggestionStart, suggestionLen := textOf(encoded)
	var out C.gfp_out
	status := C.gfp_policy_apply(m.core.library.table, m.core.handle, pluginStart, pluginLen, suggestionStart,
		suggestionLen, &out)
	runtime.KeepAlive(m)
	if err := m.core.library.check(status, &out); err != nil {
		return 0, err
	}
	return uint64(out.number), nil
}

// ObservePolicy lets calls pass for a while that only lack a permission or scope, and records them; at most 31 days, and 0
// ends it. It returns the policy's new revision.
func (m *Manager) ObservePolicy(plugin string, duration time.Duration) (uint64, error) {
	start, length := text(plugin)
	var out C.gfp_out
	seconds := C.uint64_t(max(duration, 0).Seconds())
	status := C.gfp_policy_observe(m.core.library.table, m.core.handle, start, length, seconds, &out)
	runtime.KeepAlive(m)
	if err := m.core.library.check(status, &out); err != nil {
		return 0, err
	}
	return uint64(out.number), nil
}

// CheckPolicy tells whether the policy in force of a plugin would allow a host call. Nothing is called.
func (m *Manager) CheckPolicy(plugin, function string, arguments any) (*Verdict, error) {
	request, err := document(map[string]any{"function": function, "arguments": arguments})
	if err != nil {
		return nil, err
	}
	answer, err := m.askPolicy(C.GFP_POLICY_CHECK, plugin, request)
	if err != nil {
		return nil, err
	}
	verdict := new(Verdict)
	return verdict, decode(answer, verdict)
}

// PolicyHistory is the newest changes of policies and enablement, newest first; of all plugins if plugin is empty.
func (m *Manager) PolicyHistory(plugin string, limit int) ([]PolicyChange, error) {
	start, length := text(plugin)
	var out C.gfp_out
	status := C.gfp_policy_history(m.core.library.table, m.core.handle, start, length, C.size_t(max(limit, 0)), &out)
	runtime.KeepAlive(m)
	encoded, err := m.core.library.takeDocument(status, &out)
	if err != nil {
		return nil, err
	}
	var rows []PolicyChange
	return rows, decode(encoded, &rows)
}

// CheckPolicyDocument tells whether a policy document would allow a host call, without a manager. The request has the fields
// function and arguments and, where it matters, dialect, default_schema and resources. A nil policy is the default grant.
func (l *Library) CheckPolicyDocument(policy, request any) (*Verdict, error) {
	encoded, err := document(policy)
	if err != nil {
		return nil, err
	}
	question, err := document(request)
	if err != nil {
		return nil, err
	}
	policyStart, policyLen := textOf(encoded)
	requestStart, requestLen := textOf(question)
	var out C.gfp_out
	answer, err := l.takeDocument(
		C.gfp_policy_check_document(l.table, policyStart, policyLen, requestStart, requestLen, &out), &out)
	if err != nil {
		return nil, err
	}
	verdict := new(Verdict)
	return verdict, decode(answer, verdict)
}

func (m *Manager) askPolicy(which C.int, plugin string, question []byte) (json.RawMessage, error) {
	pluginStart, pluginLen := text(plugin)
	start, length := textOf(question)
	var out C.gfp_out
	status := C.gfp_policy_ask(m.core.library.table, which, m.core.handle, pluginStart, pluginLen, start, length, &out)
	runtime.KeepAlive(m)
	return m.core.library.takeDocument(status, &out)
}
