package main

import plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"

var registration = plugin.Registration{
	Name:        "ticket-stats-go",
	Version:     "1.0.0",
	Description: "Counts tickets per queue and per state",
	Author:      "GoatKit",
	License:     "Apache-2.0",
	Homepage:    "https://github.com/goatkit/goatflow-plugin",
	Routes: []plugin.Route{
		{
			Method: "GET", Path: "/api/plugins/ticket-stats-go/overview", Handler: "overview",
			Middleware: []string{"auth"}, Description: "Tickets per queue and per state",
		},
		{
			Method: "GET", Path: "/api/plugins/ticket-stats-go/tickets/:id", Handler: "ticket",
			Middleware: []string{"auth"}, Description: "One ticket",
		},
	},
	MenuItems: []plugin.MenuItem{
		{ID: "ticket-stats-go", Label: "Ticket statistics", Icon: "chart-bar", Path: "/api/plugins/ticket-stats-go/overview", Location: "agent", Order: 50},
	},
	Widgets: []plugin.Widget{
		{
			ID: "ticket-stats-go", Title: "Ticket statistics", Description: "Tickets per queue", Handler: "widget",
			Location: "dashboard", Size: "medium", Refreshable: true, RefreshSec: 60,
		},
	},
	Jobs: []plugin.Job{
		{
			ID: "refresh", Handler: "refresh", Schedule: "*/5 * * * *", Description: "Keeps the overview in the cache",
			Enabled: true, Timeout: "30s",
		},
	},
	I18n: &plugin.I18n{
		Languages: []string{"en", "de"},
		Translations: map[string]map[string]string{
			"en": {"title": "Ticket statistics", "tickets": "Tickets"},
			"de": {"title": "Ticketstatistik", "tickets": "Tickets"},
		},
	},
	ErrorCodes: []plugin.ErrorCode{
		{Code: "no_such_ticket", Message: "There is no such ticket", HTTPStatus: 404},
	},
}
