package goatflowplugin

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"math"
	"runtime"
)

// AnyRevision replaces a policy whatever its revision is.
const AnyRevision uint64 = math.MaxUint64

// PolicyState is the policy of a plugin.
type PolicyState struct {
	Plugin   string `json:"plugin"`
	Revision uint64 `json:"revision"`
	// Stored is the administrator's document, null if there is none.
	Stored json.RawMessage `json:"stored"`
	// Effective is what is in force, each line with its source.
	Effective json.RawMessage `json:"effective"`
}

// Policy is the policy of a plugin.
func (m *Manager) Policy(plugin string) (*PolicyState, error) {
	encoded, err := m.documentOf(C.GFP_POLICY_GET, plugin)
	if err != nil {
		return nil, err
	}
	state := new(PolicyState)
	return state, decode(encoded, state)
}

// SetPolicy puts a policy document (any form that NewManager takes) into force and returns its revision; nil removes the
// stored document, so that the default grant applies. If the policy's revision is not the expected one,
// somebody else changed it: ErrPolicyRevisionConflict. [AnyRevision] replaces it regardless.
func (m *Manager) SetPolicy(plugin string, policy any, expectedRevision uint64) (uint64, error) {
	encoded, err := document(policy)
	if err != nil {
		return 0, err
	}
	pluginStart, pluginLen := text(plugin)
	policyStart, policyLen := textOf(encoded)
	var out C.gfp_out
	status := C.gfp_policy_set(m.core.library.table, m.core.handle, pluginStart, pluginLen, policyStart, policyLen,
		C.uint64_t(expectedRevision), &out)
	runtime.KeepAlive(m)
	if err := m.core.library.check(status, &out); err != nil {
		return 0, err
	}
	return uint64(out.number), nil
}
