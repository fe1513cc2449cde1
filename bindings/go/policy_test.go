package goatflowplugin_test

import (
	"encoding/json"
	"strings"
	"testing"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func TestPoliciesChangeWhilePluginsRun(t *testing.T) {
	manager := newManager(t, ticketDatabase())
	plugin, err := manager.Load(samplePath("ticket-stats-c"), nil)
	must(t, err)
	denied := func() bool {
		return strings.Contains(call(t, manager, plugin, "users", `{}`), "policy.sql.table_denied")
	}
	equal(t, denied(), true)
	before, err := manager.Policy(plugin)
	must(t, err)
	equal(t, before.Plugin, plugin)
	equal(t, string(before.Stored), "null")
	if !json.Valid(before.Effective) {
		t.Fatalf("%+v", before)
	}

	policy := permitted([3]string{"db", "read", "users"})
	revision, err := manager.SetPolicy(plugin, policy, before.Revision)
	must(t, err)
	equal(t, denied(), false)
	after, err := manager.Policy(plugin)
	must(t, err)
	equal(t, after.Revision, revision)
	if string(after.Stored) == "null" || string(after.Effective) == string(before.Effective) {
		t.Fatalf("%+v", after)
	}

	_, err = manager.SetPolicy(plugin, nil, before.Revision)
	fails(t, err, goatflowplugin.ErrPolicyRevisionConflict)
	equal(t, denied(), false)
	_, err = manager.SetPolicy(plugin, nil, revision)
	must(t, err)
	equal(t, denied(), true)
	_, err = manager.SetPolicy(plugin, map[string]any{"version": 1, "status": "blocked"}, goatflowplugin.AnyRevision)
	must(t, err)
	_, err = manager.Call(background, plugin, "overview", nil)
	failure := fails(t, err, goatflowplugin.ErrPolicyBlocked)
	equal(t, failure.Plugin, plugin)
}

func TestInvalidPoliciesChangeNothing(t *testing.T) {
	manager := withProbes(t, "", "probe")
	before, err := manager.Policy("probe")
	must(t, err)
	for _, test := range []struct {
		policy any
		status goatflowplugin.Status
	}{
		{`{"version":1,"status":"aproved"}`, goatflowplugin.ErrPolicyDocumentInvalid},
		{`{"version":1,"status":"approved","permisions":[]}`, goatflowplugin.ErrPolicyDocumentInvalid},
		{`{"version":1,"version":1,"status":"approved"}`, goatflowplugin.ErrPolicyDocumentInvalid},
		{`{"version":99,"status":"approved"}`, goatflowplugin.ErrPolicyDocumentInvalid},
		{func() {}, goatflowplugin.ErrArgumentJSON},
	} {
		_, err := manager.SetPolicy("probe", test.policy, goatflowplugin.AnyRevision)
		fails(t, err, test.status)
	}
	after, err := manager.Policy("probe")
	must(t, err)
	equal(t, after.Revision, before.Revision)
}
