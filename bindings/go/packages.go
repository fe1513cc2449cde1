package goatflowplugin

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"runtime"
)

// InstallOptions say how a package is installed.
type InstallOptions struct {
	// AllowDowngrade takes a release although a newer one, or one with a stronger signature, was accepted before.
	AllowDowngrade bool `json:"allow_downgrade,omitempty"`
	// Approve approves what the package asks for beyond what was approved.
	Approve bool `json:"approve,omitempty"`
}

// InspectPackage tells what a package holds and who signed it, checked as for an installation; nothing is changed.
func (m *Manager) InspectPackage(path string) (json.RawMessage, error) {
	return m.packageDocument(C.GFP_PACKAGE_INSPECT, path, nil)
}

// InstallPackage installs a package; no code of it runs. If the field needs_approval of the report names something, the
// package asks for more than was approved, and the old version stays current until [Manager.ApprovePackage].
func (m *Manager) InstallPackage(path string, options InstallOptions) (json.RawMessage, error) {
	encoded, err := document(options)
	if err != nil {
		return nil, err
	}
	return m.packageDocument(C.GFP_PACKAGE_INSTALL, path, encoded)
}

// Packages lists installed packages with their versions.
func (m *Manager) Packages() (json.RawMessage, error) {
	return m.packageDocument(C.GFP_PACKAGE_LIST, "", nil)
}

// LoadPackage loads the current version of an installed package.
func (m *Manager) LoadPackage(name string) error {
	_, err := m.packageDocument(C.GFP_PACKAGE_LOAD, name, nil)
	return err
}

// RollbackPackage makes the previous version the current one; what is loaded stays loaded.
func (m *Manager) RollbackPackage(name string) (json.RawMessage, error) {
	return m.packageDocument(C.GFP_PACKAGE_ROLLBACK, name, nil)
}

// ApprovePackage approves what the waiting version asks for and makes it the current one. With the version (or key) that
// was looked at, no other is approved; an empty one approves whichever waits.
func (m *Manager) ApprovePackage(name, version string) (json.RawMessage, error) {
	return m.packageDocument(C.GFP_PACKAGE_APPROVE, name, []byte(version))
}

// RemovePackage removes one version of a package that is not the current one, or all of it if version is empty.
func (m *Manager) RemovePackage(name, version string) (json.RawMessage, error) {
	return m.packageDocument(C.GFP_PACKAGE_REMOVE, name, []byte(version))
}

// Assets lists the files that a loaded plugin brought.
func (m *Manager) Assets(plugin string) (json.RawMessage, error) {
	return m.packageDocument(C.GFP_ASSET_LIST, plugin, nil)
}

// Asset is the content of such a file: what was verified when the plugin was loaded.
func (m *Manager) Asset(plugin, name string) ([]byte, error) {
	content, err := m.packageDocument(C.GFP_ASSET_READ, plugin, []byte(name))
	return content, err
}

// Trust is everything that is trusted, as a trust store.
func (m *Manager) Trust() (json.RawMessage, error) {
	return m.packageDocument(C.GFP_TRUST_LIST, "", nil)
}

// TrustKey trusts a further key, given as an entry of a trust store (any form that NewManager takes), from the next load
// on.
func (m *Manager) TrustKey(key any) (json.RawMessage, error) {
	encoded, err := document(key)
	if err != nil {
		return nil, err
	}
	return m.packageDocument(C.GFP_TRUST_ADD, string(encoded), nil)
}

// RevokeTrust trusts a key, {"key": label, key id or public key}, or a file, {"sha256": …}, no more, from the next load
// on.
func (m *Manager) RevokeTrust(revocation any) (json.RawMessage, error) {
	encoded, err := document(revocation)
	if err != nil {
		return nil, err
	}
	return m.packageDocument(C.GFP_TRUST_REVOKE, string(encoded), nil)
}

// SignatureValid tells whether a raw Ed25519 signature is valid, strictly: weak keys and second spellings are not.
func (l *Library) SignatureValid(publicKey, message, signature []byte) (bool, error) {
	keyStart, keyLen := bytesOf(publicKey)
	messageStart, messageLen := bytesOf(message)
	signatureStart, signatureLen := bytesOf(signature)
	var out C.gfp_out
	status := C.gfp_signature_check(
		l.table, keyStart, keyLen, messageStart, messageLen, signatureStart, signatureLen, &out)
	if err := l.check(status, &out); err != nil {
		return false, err
	}
	return out.number == 1, nil
}

func (m *Manager) packageDocument(which C.int, of string, more []byte) (json.RawMessage, error) {
	start, length := text(of)
	moreStart, moreLen := textOf(more)
	var out C.gfp_out
	status := C.gfp_package(m.core.library.table, which, m.core.handle, start, length, moreStart, moreLen, &out)
	runtime.KeepAlive(m)
	return m.core.library.takeDocument(status, &out)
}
