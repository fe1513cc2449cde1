module github.com/goatkit/goatflow-plugin/bindings/go

go 1.24
