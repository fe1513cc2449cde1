module github.com/goatkit/goatflow-plugin/bindings/plugin-go

go 1.26
