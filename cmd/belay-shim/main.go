// Command belay-shim is attrd_updater, crm_attribute and the other Pacemaker
// tools that resource agents call, for a node of a Belay cluster. It goes by
// the name it is called by: the links in /usr/lib/belay/shim, which agents find
// through HA_SBIN_DIR. "belay-shim crm_node -n" does the same as "crm_node -n".
//
// BELAY_SOCKET names the engine's socket where it is not the usual one. BELAY_TOKEN,
// which the engine gives to an agent, lets one that runs as another user than root
// write its attributes.
package main

import (
	"context"
	"os"

	"github.com/belay-ha/belay/engine/agent/shim"
)

const socketPath = "/run/belay/belayd.sock"

func main() {
	socket := os.Getenv(shim.SocketVariable)
	if socket == "" {
		socket = socketPath
	}
	os.Exit(shim.Main(context.Background(), os.Args, os.Getenv, shim.Dial(socket, os.Getenv(shim.TokenVariable)), os.Stdout, os.Stderr))
}
