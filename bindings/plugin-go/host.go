package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// The services of the host. Every call passes the plugin's policy first and fails with an [*Error] where it is refused.
//
// In a program that serves several calls at the same time, the host can only guess which of them these belong to; those
// of [Call] and [With] tell it.
var (
	DB     DBService
	Cache  CacheService
	HTTP   HTTPService
	Email  EmailService
	Config ConfigService
	Log    LogService
)

// Services are the services of the host, bound to the call that they are used for: its deadline and its cancellation end
// them, and the host knows whom they are for.
type Services struct {
	host
	DB     DBService
	Cache  CacheService
	HTTP   HTTPService
	Email  EmailService
	Config ConfigService
	Log    LogService
}

// With returns the services for the call that ctx belongs to: [Call.Context], or a context made from it.
func With(ctx context.Context) Services {
	h := host{ctx}
	return Services{h, DBService{h}, CacheService{h}, HTTPService{h}, EmailService{h}, ConfigService{h}, LogService{h}}
}

// host makes host calls for one call, or, with a nil context, for none in particular.
type host struct{ ctx context.Context }

// Host calls a host function by its name, for functions that the host application registered itself. The arguments are
// encoded as JSON and the reply is decoded into reply, a pointer; nil drops it.
func Host(function string, arguments, reply any) error {
	return host{}.Host(function, arguments, reply)
}

// Host is the function [Host], for this call.
func (h host) Host(function string, arguments, reply any) error {
	document, err := h.request(function, arguments)
	if err != nil || reply == nil {
		return err
	}
	return decode(function, document, reply)
}

// decode turns a reply document into a value.
func decode(function string, document []byte, reply any) error {
	if len(document) == 0 {
		return &Error{Function: function, Message: "the host gave no reply and no reason"}
	}
	// Row values stay json.Number: a float64 would lose the digits of large identifiers.
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(reply); err != nil {
		return &Error{Function: function, Message: "unexpected reply: " + err.Error()}
	}
	return nil
}

// request makes one host call and returns the raw reply, empty if there is none.
func (h host) request(function string, arguments any) (json.RawMessage, error) {
	document, err := json.Marshal(arguments)
	if err != nil {
		return nil, &Error{Function: function, Message: "arguments: " + err.Error()}
	}
	return callHost(h.ctx, function, document)
}

// acknowledged is the reply of host functions that only say that they are done.
type acknowledged struct{}

// DBService reaches the host's databases.
type DBService struct{ host }

type statement struct {
	Query string `json:"query"`
	Args  []any  `json:"args"`
}

// Row is one row of a result: column name to string, [json.Number], bool or nil.
type Row map[string]any

// Text returns a column as text: a string as it is, a number in decimal, "" for NULL and for an unknown column.
func (r Row) Text(column string) string {
	if value := r[column]; value != nil {
		return fmt.Sprint(value)
	}
	return ""
}

// Int returns a column as a whole number, 0 for anything else.
func (r Row) Int(column string) int64 {
	number, _ := r[column].(json.Number)
	value, _ := number.Int64()
	return value
}

// Query runs a reading statement, with ? as the placeholder whatever the database is. A query text may start with
// "@name:" to choose one of the host's databases.
func (d DBService) Query(query string, args ...any) ([]Row, error) {
	var rows []Row
	err := d.QueryInto(&rows, query, args...)
	return rows, err
}

// QueryInto is Query for authors who like types: rows is a pointer to a slice of structs whose JSON names are the
// columns. Without any row the slice is empty, not nil, so that it encodes as [].
func (d DBService) QueryInto(rows any, query string, args ...any) error {
	document, err := d.request("db_query", statement{query, args})
	if err != nil {
		return err
	}
	if string(document) == "null" { // how the contract says "no rows"
		document = json.RawMessage("[]")
	}
	return decode("db_query", document, rows)
}

// Exec runs a writing statement and returns how many rows it affected.
func (d DBService) Exec(query string, args ...any) (affected int64, err error) {
	var reply struct{ Affected int64 }
	err = d.Host("db_exec", statement{query, args}, &reply)
	return reply.Affected, err
}

// CacheService is the plugin's own cache; other plugins can't see it.
type CacheService struct{ host }

// Get returns the value kept under key and whether there is one.
func (c CacheService) Get(key string) (value []byte, found bool, err error) {
	var reply struct {
		Found bool
		Value []byte
	}
	err = c.Host("cache_get", map[string]string{"key": key}, &reply)
	return reply.Value, reply.Found, err
}

// Set keeps value under key, for ttl rounded up to whole seconds; 0 sets no time limit.
func (c CacheService) Set(key string, value []byte, ttl time.Duration) error {
	arguments := struct {
		Key   string `json:"key"`
		Value []byte `json:"value"`
		TTL   int64  `json:"ttl"`
	}{key, value, int64((ttl + time.Second - 1) / time.Second)}
	return c.Host("cache_set", arguments, &acknowledged{})
}

// Delete forgets what is kept under key.
func (c CacheService) Delete(key string) error {
	return c.Host("cache_delete", map[string]string{"key": key}, &acknowledged{})
}

// HTTPService lets the host make HTTP requests.
type HTTPService struct{ host }

// HTTPRequest is a request that the host makes for the plugin.
type HTTPRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

// HTTPResponse is the answer to an [HTTPRequest]. The host does not hand over response headers.
type HTTPResponse struct {
	Status int
	Body   []byte
}

// Do makes a request. A status such as 404 is an answer, not an error.
func (h HTTPService) Do(r HTTPRequest) (HTTPResponse, error) {
	var response HTTPResponse
	err := h.Host("http_request", r, &response)
	return response, err
}

// Get fetches a URL.
func (h HTTPService) Get(url string) (HTTPResponse, error) {
	return h.Do(HTTPRequest{Method: "GET", URL: url})
}

// EmailService sends mail through the host.
type EmailService struct{ host }

// Message is a mail to one recipient. With HTML set, Body is HTML.
type Message struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Body    string `json:"body"`
	HTML    bool   `json:"html"`
}

// Send sends a mail.
func (e EmailService) Send(m Message) error {
	return e.Host("send_email", m, &acknowledged{})
}

// ConfigService reads the host's configuration.
type ConfigService struct{ host }

type valueReply struct{ Value string }

// Get returns a configuration value of the host, for example "app.name".
func (c ConfigService) Get(key string) (string, error) {
	var reply valueReply
	err := c.Host("config_get", map[string]string{"key": key}, &reply)
	return reply.Value, err
}

// Translate returns the text of key in the language of the current request, and the key itself where there is none.
func Translate(key string, args ...any) string {
	return host{}.Translate(key, args...)
}

// Translate is the function [Translate], for this call.
func (h host) Translate(key string, args ...any) string {
	var reply valueReply
	arguments := struct {
		Key  string `json:"key"`
		Args []any  `json:"args"`
	}{key, args}
	if err := h.Host("translate", arguments, &reply); err != nil {
		return key
	}
	return reply.Value
}

// CallPlugin calls a function of another plugin and returns its result as it is, nil if it is empty. An {"error": "…"}
// in it is the other plugin's own answer, not an error here.
func CallPlugin(name, function string, arguments any) (json.RawMessage, error) {
	return host{}.CallPlugin(name, function, arguments)
}

// CallPlugin is the function [CallPlugin], for this call.
func (h host) CallPlugin(name, function string, arguments any) (json.RawMessage, error) {
	return h.request("plugin_call", struct {
		Plugin   string `json:"plugin"`
		Function string `json:"function"`
		Args     any    `json:"args"`
	}{name, function, arguments})
}

// Publish sends an event to the host's subscribers of a channel; an empty channel is the host's default one.
func Publish(channel, event, data string) error {
	return host{}.Publish(channel, event, data)
}

// Publish is the function [Publish], for this call.
func (h host) Publish(channel, event, data string) error {
	arguments := struct {
		Channel string `json:"channel"`
		Event   string `json:"event_type"`
		Data    string `json:"data"`
	}{channel, event, data}
	return h.Host("publish_event", arguments, &acknowledged{})
}

// LogService writes the plugin's log; format and args are those of [fmt.Sprintf].
type LogService struct{ host }

// Debug writes a line at level debug.
func (l LogService) Debug(format string, args ...any) {
	writeLog(l.ctx, 0, fmt.Sprintf(format, args...))
}

// Info writes a line at level info.
func (l LogService) Info(format string, args ...any) {
	writeLog(l.ctx, 1, fmt.Sprintf(format, args...))
}

// Warn writes a line at level warn.
func (l LogService) Warn(format string, args ...any) {
	writeLog(l.ctx, 2, fmt.Sprintf(format, args...))
}

// Error writes a line at level error.
func (l LogService) Error(format string, args ...any) {
	writeLog(l.ctx, 3, fmt.Sprintf(format, args...))
}
