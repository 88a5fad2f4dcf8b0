package main

//go:generate go run gen_schema.go ../../engine/cib ../../docs/reference/cluster.schema.json
