package goatflowplugin

// #cgo CFLAGS: -std=gnu11 -I${SRCDIR}/include
// #cgo linux LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
// #cgo nocallback gfp_abi_version
// #cgo nocallback gfp_version
// #cgo nocallback gfp_status_slug
import "C"

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	_ "github.com/goatkit/goatflow-plugin/bindings/go/include" // keeps the header in vendor directories
)

const (
	// LibraryName is the file name and soname of the library.
	LibraryName = "libgoatflow_plugin.so.1"
	// LibraryVariable is the environment variable that names the library's file.
	LibraryVariable = "GOATFLOW_PLUGIN_LIBRARY"
	// HeaderABI is the ABI version of the header this binding was compiled with.
	HeaderABI = uint32(C.GOATFLOW_PLUGIN_ABI_VERSION)
)

// LibraryDirectory is a directory that holds a bundled library. Set it at build time:
//
//	go build -ldflags "-X github.com/goatkit/goatflow-plugin/bindings/go.LibraryDirectory=/opt/app/lib"
var LibraryDirectory string

// Library is the opened shared library. It stays loaded for the life of the process.
type Library struct {
	path          string
	table         *C.gfp_library
	cancellations cancellationPool
}

// LibraryError says why a library can't be used.
type LibraryError struct {
	// Path is the file or the name that was tried.
	Path string
	// Origin is the rule that named it: "path", "environment", "bundled" or "system".
	Origin string
	// Reason is what the dynamic linker or the library said.
	Reason string
}

// Error names the file, why it was tried and what is wrong with it.
func (e *LibraryError) Error() string {
	return fmt.Sprintf("goatflowplugin: can't use library %s (%s): %s; give its path to Open or in %s",
		e.Path, e.Origin, e.Reason, LibraryVariable)
}

var opened = struct {
	sync.Mutex
	byPath map[string]*Library
}{byPath: map[string]*Library{}}

// Open loads the library. An empty path starts the search that the package documentation describes. Opening the same
// path again gives the same Library.
func Open(path string) (*Library, error) {
	path, origin := find(path)
	opened.Lock()
	defer opened.Unlock()
	if library := opened.byPath[path]; library != nil {
		return library, nil
	}
	library, err := open(path, origin)
	if err != nil {
		return nil, err
	}
	opened.byPath[path] = library
	return library, nil
}

// find applies the search order.
func find(path string) (found, origin string) {
	if path != "" {
		return path, "path"
	}
	if path = os.Getenv(LibraryVariable); path != "" {
		return path, "environment"
	}
	var bundled []string
	if executable, err := os.Executable(); err == nil {
		bundled = append(bundled, filepath.Dir(executable))
	}
	if LibraryDirectory != "" {
		bundled = append(bundled, LibraryDirectory)
	}
	for _, directory := range bundled {
		path = filepath.Join(directory, LibraryName)
		if _, err := os.Stat(path); err == nil {
			return path, "bundled"
		}
	}
	return LibraryName, "system"
}

func open(path, origin string) (*Library, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var message *C.char
	table := C.gfp_open(name, &message)
	if table == nil {
		defer C.free(unsafe.Pointer(message))
		return nil, &LibraryError{Path: path, Origin: origin, Reason: C.GoString(message)}
	}
	library := &Library{path: path, table: table}
	var out C.gfp_out
	if err := library.check(C.gfp_abi_check(table, C.GOATFLOW_PLUGIN_ABI_VERSION, &out), &out); err != nil {
		return nil, &LibraryError{Path: path, Origin: origin, Reason: err.Error()}
	}
	return library, nil
}

// Path is what the library was opened as.
func (l *Library) Path() string { return l.path }

// ABI is the library's ABI version.
func (l *Library) ABI() uint32 { return uint32(C.gfp_abi_version(l.table)) }

// Version is the library's version.
func (l *Library) Version() string { return C.GoString(C.gfp_version(l.table)) }

// StatusCode is the library's code of a status, "unknown" if it has none.
func (l *Library) StatusCode(status Status) string {
	return C.GoString(C.gfp_status_slug(l.table, C.int32_t(status)))
}

// StatusInfo is one row of the library's status table.
type StatusInfo struct {
	Status    Status `json:"status"`
	Code      string `json:"code"`
	Constant  string `json:"constant"`
	Retryable bool   `json:"retryable"`
}

// StatusTable lists every status of the library.
func (l *Library) StatusTable() ([]StatusInfo, error) {
	table, err := l.document(C.GFP_STATUS_TABLE)
	if err != nil {
		return nil, err
	}
	var rows []StatusInfo
	return rows, decode(table, &rows)
}

// Doctor says what this machine offers to the library, and which signal handlers are in force.
func (l *Library) Doctor() (json.RawMessage, error) { return l.document(C.GFP_DOCTOR) }

// ConfigSchema is the JSON Schema of a manager's configuration.
func (l *Library) ConfigSchema() (json.RawMessage, error) { return l.document(C.GFP_CONFIG_SCHEMA) }

// PolicySchema is the JSON Schema of policy documents.
func (l *Library) PolicySchema() (json.RawMessage, error) { return l.document(C.GFP_POLICY_SCHEMA) }

func (l *Library) document(which C.int) (json.RawMessage, error) {
	var out C.gfp_out
	return l.takeDocument(C.gfp_document(l.table, which, &out), &out)
}

// TrustSchema is the JSON Schema of trust stores.
func (l *Library) TrustSchema() (json.RawMessage, error) { return l.document(C.GFP_TRUST_SCHEMA) }

// ValidatePolicy checks a policy document (any form that NewManager takes) without putting it into force. An invalid
// document is no error: the report tells.
func (l *Library) ValidatePolicy(policy any) (json.RawMessage, error) {
	encoded, err := document(policy)
	if err != nil {
		return nil, err
	}
	start, length := textOf(encoded)
	var out C.gfp_out
	return l.takeDocument(C.gfp_policy_validate(l.table, start, length, &out), &out)
}
