package goatflowplugin

// #include "shim.h"
// #cgo noescape gfp_buffer_take
// #cgo nocallback gfp_buffer_take
import "C"

import (
	"encoding/json"
	"fmt"
	"unsafe"
)

// document turns what a caller gave for a JSON document into bytes: nil is the empty document, []byte,
// json.RawMessage and string are passed on as they are, everything else is marshalled.
func document(value any) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case []byte:
		return value, nil
	case json.RawMessage:
		return value, nil
	case string:
		return []byte(value), nil
	}
	marshalled, err := json.Marshal(value)
	if err != nil {
		return nil, &Error{
			Status:  ErrArgumentJSON,
			Code:    ErrArgumentJSON.Code(),
			Message: "the document can't be marshalled: " + err.Error(),
			Detail:  json.RawMessage("{}"),
		}
	}
	return marshalled, nil
}

// decode fills target from a document of the library.
func decode(from []byte, target any) error {
	if err := json.Unmarshal(from, target); err != nil {
		return fmt.Errorf("goatflowplugin: a document of the library does not match this binding: %w", err)
	}
	return nil
}

func text(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

func textOf(b []byte) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))), C.size_t(len(b))
}

func bytesOf(b []byte) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))), C.size_t(len(b))
}

// take moves a library-owned buffer into Go memory; nil when it is empty.
func (l *Library) take(out *C.gfp_out) []byte {
	if out.data == 0 {
		return nil
	}
	taken := make([]byte, out.len)
	C.gfp_buffer_take(l.table, out, (*C.uint8_t)(unsafe.SliceData(taken)))
	return taken
}

// takeDocument is take for functions that answer a document.
func (l *Library) takeDocument(status C.int32_t, out *C.gfp_out) (json.RawMessage, error) {
	if err := l.check(status, out); err != nil {
		return nil, err
	}
	return l.take(out), nil
}
