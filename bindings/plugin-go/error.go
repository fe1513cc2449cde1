package plugin

import (
	"encoding/json"
	"errors"
)

// Error is a host call that was refused or failed.
type Error struct {
	// Function is the host function, for example "db_query".
	Function string `json:"-"`
	// Code is the stable slug of the reason, for example "policy.sql.table_denied". It is empty when the host gave no
	// reason, as hosts without gk.last_error never do.
	Code string `json:"code"`
	// Message is the host's explanation for people; it may change between versions.
	Message string `json:"message"`
}

// Error returns the host function and the host's explanation.
func (e *Error) Error() string {
	return e.Function + ": " + e.Message
}

// Code returns the stable slug of the [*Error] that err is or wraps, and "" when there is none.
func Code(err error) string {
	if failure, ok := errors.AsType[*Error](err); ok {
		return failure.Code
	}
	return ""
}

// errorDocument returns the in-band form of an application error.
func errorDocument(err error) []byte {
	document, _ := json.Marshal(struct { // strings always encode
		Error string `json:"error"`
		Code  string `json:"code,omitempty"`
	}{err.Error(), Code(err)})
	return document
}
