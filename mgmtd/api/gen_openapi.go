//go:build ignore

// Command gen_openapi writes the description of the REST API.
package main

import (
	"fmt"
	"os"

	"github.com/belay-ha/belay/mgmtd/api"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen_openapi FILE")
		os.Exit(2)
	}
	b, err := api.New(api.Options{}).OpenAPI()
	if err == nil {
		err = os.WriteFile(os.Args[1], b, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen_openapi:", err)
		os.Exit(1)
	}
}
