package api

//go:generate go run gen_openapi.go ../../docs/reference/openapi.json
