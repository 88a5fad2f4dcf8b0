// Command belay is the command line of the cluster. It talks to the engine on this
// node over its socket; only simulate and import decide something, offline.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/belay-ha/belay/engine/agent/trial"
)

// version is stamped by the build.
var version = "dev"

func main() { os.Exit(start()) }

func start() int {
	if rc, done := trial.Enter(); done { // of "belay agents test"
		return rc
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
