//go:build ignore

// Command gen_mib writes BELAY-MIB with the enterprise number for documentation.
package main

import (
	"fmt"
	"os"

	"github.com/belay-ha/belay/snmp/mib"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen_mib FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(mib.Text(mib.DocumentationPEN)), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gen_mib:", err)
		os.Exit(1)
	}
}
