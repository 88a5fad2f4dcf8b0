// Command belay-shim is attrd_updater, crm_attribute and the other Pacemaker
// tools that resource agents call, for a node of a Belay cluster. It goes by
// the name it is called by: the links in /usr/lib/belay/shim, which agents find
// through HA_SBIN_DIR. "belay-shim crm_node -n" does the same as "crm_node -n".
//
// BELAY_SOCKET names the engine's socket where it is not the usual one.
package main

import (
	"context"
	"os"

	"github.com/belay-ha/belay/engine/agent/shim"
)

const socketPath = "/run/belay/belayd.sock"

func main() {
	socket := os.Getenv("BELAY_SOCKET")
	if socket == "" {
		socket = socketPath
	}
	os.Exit(shim.Main(context.Background(), os.Args, os.Getenv, shim.Dial(socket), os.Stdout, os.Stderr))
}
