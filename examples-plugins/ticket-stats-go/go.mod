module github.com/goatkit/goatflow-plugin/examples-plugins/ticket-stats-go

go 1.26

require github.com/goatkit/goatflow-plugin/bindings/plugin-go v0.0.0

// Inside this repository the SDK lies next door.
replace github.com/goatkit/goatflow-plugin/bindings/plugin-go => ../../bindings/plugin-go
