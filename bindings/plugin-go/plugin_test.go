//go:build !wasip1

package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

func init() {
	Register(Registration{Name: "test", Version: "1.0.0"})
	Handle("echo", func(call *Call) (any, error) { return call.Args, nil })
	Handle("nothing", func(*Call) (any, error) { return nil, nil })
	Handle("fails", func(*Call) (any, error) { return nil, errors.New("no such <ticket>") })
	Handle("panics", func(*Call) (any, error) { panic("oh") })
	Handle("unencodable", func(*Call) (any, error) { return func() {}, nil })
	Handle("refused", func(*Call) (any, error) {
		_, err := DB.Query("SELECT login FROM users")
		return nil, fmt.Errorf("users: %w", err)
	})
	Handle("bind", func(call *Call) (any, error) {
		args := struct {
			Name string
			ID   json.Number
		}{Name: "World"}
		err := call.Bind(&args)
		return args, err
	})
}

func TestResults(t *testing.T) {
	TestHost = func(string, []byte) ([]byte, error) {
		return nil, &Error{Function: "db_query", Code: "policy.sql.table_denied", Message: "no"}
	}
	for _, row := range []struct{ function, args, want string }{
		{"echo", `{"a": 1}`, `{"a": 1}`},
		{"echo", ``, ``},
		{"nothing", `{}`, ``},
		{"fails", `{}`, `{"error":"no such \u003cticket\u003e"}`},
		{"panics", `{}`, `{"error":"panic: oh"}`},
		{"unencodable", `{}`, `{"error":"result of unencodable: json: unsupported type: func()"}`},
		{"refused", `{}`, `{"error":"users: db_query: no","code":"policy.sql.table_denied"}`},
		{"unknown", `{}`, `{"error":"unknown function: unknown"}`},
		{"bind", ``, `{"Name":"World","ID":0}`},
		{"bind", `null`, `{"Name":"World","ID":0}`},
		{"bind", `{"id":"7"}`, `{"Name":"World","ID":7}`},
		{"bind", `{"name":1}`, `{"error":"arguments of bind: json: cannot unmarshal number into Go struct field .Name of type string"}`},
	} {
		if got := string(Invoke(row.function, []byte(row.args))); got != row.want {
			t.Errorf("%s(%s) = %s, want %s", row.function, row.args, got, row.want)
		}
	}
}

// Every service sends the documented request and reads the documented reply.
func TestHostCalls(t *testing.T) {
	var reply, sent string
	TestHost = func(function string, arguments []byte) ([]byte, error) {
		sent = function + string(arguments)
		return []byte(reply), nil
	}
	for _, row := range []struct {
		reply string
		call  func() (any, error)
		sent  string
		want  string
	}{
		{`[{"n":9007199254740993,"s":null}]`, func() (any, error) { return DB.Query("SELECT ?", 1, "x", nil) },
			`db_query{"query":"SELECT ?","args":[1,"x",null]}`, `[{"n":9007199254740993,"s":null}]`},
		{`null`, func() (any, error) { return DB.Query("SELECT 1") },
			`db_query{"query":"SELECT 1","args":null}`, `[]`},
		{`{"affected":3}`, func() (any, error) { return DB.Exec("DELETE FROM t WHERE id = ?", 5) },
			`db_exec{"query":"DELETE FROM t WHERE id = ?","args":[5]}`, `3`},
		{`{"found":true,"value":"aGk="}`, func() (any, error) { v, _, err := Cache.Get("k"); return string(v), err },
			`cache_get{"key":"k"}`, `"hi"`},
		{`{"found":false,"value":null}`, func() (any, error) { _, found, err := Cache.Get("k"); return found, err },
			`cache_get{"key":"k"}`, `false`},
		{`{"ok":true}`, func() (any, error) { return nil, Cache.Set("k", []byte("hi"), 1500*time.Millisecond) },
			`cache_set{"key":"k","value":"aGk=","ttl":2}`, `null`},
		{`{"ok":true}`, func() (any, error) { return nil, Cache.Delete("k") },
			`cache_delete{"key":"k"}`, `null`},
		{`{"body":"aGk=","status":404}`, func() (any, error) { return HTTP.Get("https://example.com/") },
			`http_request{"method":"GET","url":"https://example.com/","headers":null,"body":null}`, `{"Status":404,"Body":"aGk="}`},
		{`{"ok":true}`, func() (any, error) {
			return nil, Email.Send(Message{To: "a@example.com", Subject: "s", Body: "b", HTML: true})
		},
			`send_email{"to":"a@example.com","subject":"s","body":"b","html":true}`, `null`},
		{`{"value":"OTRS"}`, func() (any, error) { return Config.Get("app.name") },
			`config_get{"key":"app.name"}`, `"OTRS"`},
		{`{"value":"3 Tickets"}`, func() (any, error) { return Translate("p.tickets", 3), nil },
			`translate{"key":"p.tickets","args":[3]}`, `"3 Tickets"`},
		{``, func() (any, error) { return CallPlugin("other", "f", nil) },
			`plugin_call{"plugin":"other","function":"f","args":null}`, ``},
		{`{"status":"ok"}`, func() (any, error) { return nil, Publish("c", "e", "d") },
			`publish_event{"channel":"c","event_type":"e","data":"d"}`, `null`},
	} {
		reply = row.reply
		value, err := row.call()
		got, _ := json.Marshal(value)
		if err != nil || sent != row.sent || string(got) != row.want {
			t.Errorf("sent %s, got %s, %v; want %s, %s", sent, got, err, row.sent, row.want)
		}
	}
}

// A host that gives neither a reply nor a reason, or a reply of the wrong shape, is an error too.
func TestStrangeReplies(t *testing.T) {
	for _, reply := range []string{``, `{`, `7`} {
		TestHost = func(string, []byte) ([]byte, error) { return []byte(reply), nil }
		_, err := DB.Query("SELECT 1")
		if failure, ok := errors.AsType[*Error](err); !ok || failure.Function != "db_query" || Code(err) != "" {
			t.Errorf("reply %q: %v", reply, err)
		}
	}
}

func TestRowColumns(t *testing.T) {
	row := Row{"n": json.Number("9007199254740993"), "s": "x", "null": nil}
	if row.Int("n") != 9007199254740993 || row.Text("n") != "9007199254740993" || row.Text("s") != "x" || row.Int("s") != 0 || row.Text("null") != "" {
		t.Error(row)
	}
}
