package goatflowplugin_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func configValues() map[string]any {
	return map[string]any{"values": map[string]string{"app.name": "GoatFlow", "smtp.password": "pw"}}
}

func TestWhatAPluginWasRefusedIsSuggestedAcceptedAndWorks(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "policies")
	config := map[string]any{
		"config":       configValues(),
		"policy_store": map[string]any{"kind": "file", "directory": directory},
	}
	manager := newManager(t, config)
	_, err := manager.Load(probeFile(t, "probe"), nil)
	must(t, err)
	ask := func(key string) string { return call(t, manager, "probe", "host:config_get", `{"key":"`+key+`"}`) }
	equal(t, errorCode(t, ask("app.name")), "policy.permission_missing")
	equal(t, errorCode(t, ask("smtp.password")), "policy.permission_missing")

	verdict, err := manager.CheckPolicy("probe", "config_get", map[string]string{"key": "app.name"})
	must(t, err)
	equal(t, verdict.Allow, false)
	equal(t, string(verdict.Suggestion), `{"access":"read","scope":["app.name"],"type":"config"}`)

	suggestion, err := manager.SuggestPolicy("probe", goatflowplugin.SuggestOptions{})
	must(t, err)
	equal(t, suggestion.Changes, true)
	equal(t, strings.Contains(string(suggestion.Document), "smtp.password"), false)
	equal(t, len(suggestion.LeftOut), 1)
	revision, err := manager.ApplyPolicy("probe", suggestion)
	must(t, err)
	equal(t, revision, uint64(1))
	equal(t, ask("app.name"), `{"value":"GoatFlow"}`)
	equal(t, errorCode(t, ask("smtp.password")), "policy.config.key_denied")
	_, err = manager.ApplyPolicy("probe", suggestion)
	fails(t, err, goatflowplugin.ErrPolicyRevisionConflict)

	_, err = manager.ObservePolicy("probe", time.Hour)
	must(t, err)
	equal(t, ask("app.other") != "", true)
	_, err = manager.ObservePolicy("probe", 0)
	must(t, err)
	_, err = manager.ObservePolicy("probe", 32*24*time.Hour)
	fails(t, err, goatflowplugin.ErrArgumentInvalid)
	rows, err := manager.PolicyHistory("probe", 10)
	must(t, err)
	var actions []string
	for _, row := range rows {
		actions = append(actions, row.Action)
	}
	equal(t, strings.Join(actions, " "), "observed observed applied")
}

func TestADocumentIsCheckedWithoutAManager(t *testing.T) {
	library, err := goatflowplugin.Open("")
	must(t, err)
	request := map[string]any{
		"function": "db_query", "dialect": "postgres", "arguments": map[string]string{"query": "SELECT id FROM ticket"},
	}
	verdict, err := library.CheckPolicyDocument(nil, request)
	must(t, err)
	equal(t, verdict.Code, "policy.permission_missing")
	verdict, err = library.CheckPolicyDocument(permitted([3]string{"db", "read", "ticket"}), request)
	must(t, err)
	equal(t, verdict.Allow, true)
	_, err = library.CheckPolicyDocument("{", request)
	fails(t, err, goatflowplugin.ErrPolicyDocumentInvalid)
}
