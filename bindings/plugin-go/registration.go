package plugin

// Registration is what a plugin says about itself when it is loaded. Name and Version are required, and Name must be the
// name in plugin.yaml; everything else is optional.
type Registration struct {
	Name           string      `json:"name"`
	Version        string      `json:"version"`
	Description    string      `json:"description"`
	Author         string      `json:"author"`
	License        string      `json:"license"`
	Homepage       string      `json:"homepage"`
	Routes         []Route     `json:"routes,omitempty"`
	MenuItems      []MenuItem  `json:"menu_items,omitempty"`
	Widgets        []Widget    `json:"widgets,omitempty"`
	Jobs           []Job       `json:"jobs,omitempty"`
	Templates      []Template  `json:"templates,omitempty"`
	I18n           *I18n       `json:"i18n,omitempty"`
	ErrorCodes     []ErrorCode `json:"error_codes,omitempty"`
	HideMenuItems  []string    `json:"hide_menu_items,omitempty"`
	LandingPage    string      `json:"landing_page,omitempty"`
	MinHostVersion string      `json:"min_host_version,omitempty"`
	// Resources belongs into plugin.yaml; it is for a module that is handed out alone, without one.
	Resources *Resources `json:"resources,omitempty"`
}

// Route is an HTTP route that the host serves by calling Handler. Its arguments are path parameters, query parameters
// and the JSON body, merged into one object.
type Route struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	// Handler is the plugin function to call.
	Handler string `json:"handler"`
	// Middleware names the host's checks, "auth" and "admin". A route without any is public.
	Middleware  []string `json:"middleware,omitempty"`
	Description string   `json:"description,omitempty"`
}

// MenuItem is an entry in one of the host's menus.
type MenuItem struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Icon  string `json:"icon,omitempty"`
	Path  string `json:"path"`
	// Location is "admin", "agent" or "customer".
	Location string     `json:"location"`
	Parent   string     `json:"parent,omitempty"`
	Order    int        `json:"order,omitempty"`
	Children []MenuItem `json:"children,omitempty"`
}

// Widget is a piece of a dashboard. Its Handler returns [HTML].
type Widget struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Handler     string `json:"handler"`
	Location    string `json:"location"`
	// Size is "small", "medium", "large" or "full".
	Size        string `json:"size,omitempty"`
	Order       int    `json:"order,omitempty"`
	Refreshable bool   `json:"refreshable,omitempty"`
	RefreshSec  int    `json:"refresh_sec,omitempty"`
}

// HTML is what the handler of a widget or a page returns. The host shows it as it is: escape what comes from outside.
type HTML struct {
	HTML string `json:"html"`
}

// Job is a function that the host calls on a schedule, without arguments and without looking at the result.
type Job struct {
	ID      string `json:"id"`
	Handler string `json:"handler"`
	// Schedule is a cron expression of five fields.
	Schedule    string `json:"schedule"`
	Description string `json:"description,omitempty"`
	// Enabled has to be true for the job to run.
	Enabled bool `json:"enabled"`
	// Timeout is a Go duration such as "30s".
	Timeout string `json:"timeout,omitempty"`
}

// Template is a template of the host that the plugin's package brings or overrides.
type Template struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Override bool   `json:"override,omitempty"`
}

// I18n brings translations: language, then key, then text. The host knows a key as "<namespace>.<key>".
type I18n struct {
	// Namespace is the plugin's name when empty.
	Namespace    string                       `json:"namespace,omitempty"`
	Languages    []string                     `json:"languages,omitempty"`
	Translations map[string]map[string]string `json:"translations,omitempty"`
}

// ErrorCode is an error that the plugin's API reports; the host knows it as "<plugin>:<code>".
type ErrorCode struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	HTTPStatus int    `json:"http_status"`
}

// Resources is what a plugin asks for. Zero values ask for the defaults; timeouts are Go durations such as "30s".
type Resources struct {
	MemoryMB        int          `json:"memory_mb,omitempty"`
	CallTimeout     string       `json:"call_timeout,omitempty"`
	InitTimeout     string       `json:"init_timeout,omitempty"`
	ShutdownTimeout string       `json:"shutdown_timeout,omitempty"`
	Permissions     []Permission `json:"permissions,omitempty"`
}

// Permission is one thing that a plugin wants to be allowed.
type Permission struct {
	// Type is "db", "cache", "http", "email", "config" or "plugin_call".
	Type string `json:"type"`
	// Access is "read", "write" or "readwrite".
	Access string `json:"access"`
	// Scope names tables, hosts, recipients, keys or plugins.
	Scope []string `json:"scope,omitempty"`
}
