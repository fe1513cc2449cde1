package goatflowplugin_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func TestSignaturesGetThePublishedVerdicts(t *testing.T) {
	library := open(t)
	vectors, err := os.ReadFile("../../tests/fixtures/signature/ed25519.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, line := range strings.Split(strings.TrimSpace(string(vectors)), "\n") {
		var vector struct {
			ID, Msg, Sig, Expected string
			PublicKey              string `json:"public_key"`
		}
		if err := json.Unmarshal([]byte(line), &vector); err != nil {
			t.Fatal(err)
		}
		if vector.Expected == "either" {
			continue
		}
		valid, err := library.SignatureValid(unhex(t, vector.PublicKey), unhex(t, vector.Msg), unhex(t, vector.Sig))
		if err != nil || valid != (vector.Expected == "accept") {
			t.Errorf("%s: %v, %v", vector.ID, valid, err)
		}
		counted++
	}
	if counted != 162 {
		t.Fatalf("%d vectors", counted)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	decoded, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func TestPackagesAndTrust(t *testing.T) {
	library := open(t)
	directory := t.TempDir()
	trust := filepath.Join(directory, "trust.json")
	manager, err := library.NewManager(map[string]any{"packages": map[string]any{
		"directory": filepath.Join(directory, "plugins"), "trust_file": trust,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	key := map[string]any{
		"public_key": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "label": "a", "names": []string{"*"},
	}
	if _, err := manager.TrustKey(key); err != nil {
		t.Fatal(err)
	}
	if _, err := manager.TrustKey(key); !errors.Is(err, goatflowplugin.ErrSignatureTrustConflict) {
		t.Fatal(err)
	}
	trusted, err := manager.RevokeTrust(map[string]any{"key": "a", "reason": "lost"})
	if err != nil || !strings.Contains(string(trusted), `"reason":"lost"`) {
		t.Fatal(string(trusted), err)
	}
	if installed, err := manager.Packages(); err != nil || string(installed) != "[]" {
		t.Fatal(string(installed), err)
	}
	if _, err := manager.InstallPackage(filepath.Join(directory, "none.zip"), goatflowplugin.InstallOptions{}); !errors.Is(err, goatflowplugin.ErrPackageNotFound) {
		t.Fatal(err)
	}
	for _, change := range []func(string) (json.RawMessage, error){
		manager.RollbackPackage,
		func(name string) (json.RawMessage, error) { return manager.ApprovePackage(name, "") },
		func(name string) (json.RawMessage, error) { return manager.ApprovePackage(name, "9.9.9") },
	} {
		if _, err := change("none"); !errors.Is(err, goatflowplugin.ErrPackageNotInstalled) {
			t.Fatal(err)
		}
	}
	if err := manager.LoadPackage("none"); !errors.Is(err, goatflowplugin.ErrPackageNotInstalled) {
		t.Fatal(err)
	}
	if _, err := manager.Asset("none", "x"); !errors.Is(err, goatflowplugin.ErrLifecyclePluginNotFound) {
		t.Fatal(err)
	}
}
