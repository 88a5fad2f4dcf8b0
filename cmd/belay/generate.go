package main

//go:generate go run gen_schema.go ../../engine/cib ../../docs/reference/cluster.schema.json
//go:generate go run gen_reference.go ../../docs/reference/cluster.schema.json ../../docs/configuration.md
//go:generate go run gen_events.go ../../docs/events.md
//go:generate go run gen_mib.go ../../docs/reference/BELAY-MIB
