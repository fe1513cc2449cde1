package main

import plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"

var registration = plugin.Registration{
	Name: "contract-suite", Version: "1.2.3", Description: "Does what a test asks for", Author: "GoatKit", License: "Apache-2.0",
	Homepage: "https://example.com/contract",
	Routes: []plugin.Route{{
		Method: "GET", Path: "/api/plugins/contract/:id", Handler: "echo", Middleware: []string{"auth", "admin"}, Description: "One",
	}},
	MenuItems: []plugin.MenuItem{{
		ID: "contract", Label: "contract.menu", Icon: "goat", Path: "/contract", Location: "agent", Parent: "tickets", Order: 7,
		Children: []plugin.MenuItem{{ID: "below", Label: "Below", Path: "/contract/below", Location: "agent"}},
	}},
	Widgets: []plugin.Widget{{
		ID: "w", Title: "Widget", Description: "Shows it", Handler: "echo", Location: "agent_home", Size: "small", Order: 3,
		Refreshable: true, RefreshSec: 30,
	}},
	Jobs: []plugin.Job{{
		ID: "j", Handler: "nothing", Schedule: "*/5 * * * *", Description: "Does it", Enabled: true, Timeout: "30s",
	}},
	I18n: &plugin.I18n{
		Namespace: "contract", Languages: []string{"de", "en"},
		Translations: map[string]map[string]string{"de": {"menu": "Vertrag <ä>"}, "en": {"menu": "Contract"}},
	},
	ErrorCodes:    []plugin.ErrorCode{{Code: "broken", Message: "It is broken", HTTPStatus: 418}},
	HideMenuItems: []string{"queues"}, LandingPage: "/contract", MinHostVersion: "0.6.0",
	Resources: &plugin.Resources{
		MemoryMB: 64, CallTimeout: "20s",
		Permissions: []plugin.Permission{{Type: "db", Access: "read", Scope: []string{"ticket"}}, {Type: "cache", Access: "readwrite"}},
	},
}
