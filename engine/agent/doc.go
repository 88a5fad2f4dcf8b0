// Package agent runs resource agents and fence agents. It decides nothing: it
// carries out one request and reports what happened.
//
// What it promises:
//
//   - An agent sees an environment built from scratch, in a session of its
//     own, with /dev/null or the given text as its standard input.
//   - A call returns when the agent has exited, not when its pipes close: a
//     daemon that keeps them open delays nobody. What an agent prints is drained
//     whatever its size; a bounded end of it is kept.
//   - A time-out or a cancelled context ends the agent's whole session,
//     SIGTERM first and SIGKILL after a grace. A process that not even SIGKILL
//     ends (it hangs in the kernel) does not hold the call up; the result says so.
//   - Daemons that an agent leaves behind when it exits by itself are not touched.
//   - No agent is started after the request's NotAfter, which is compared again
//     directly before the program is executed.
//   - While an agent runs, a file under the state directory names its process
//     with its start time, so that a restarted engine can find and end what its
//     predecessor left ([Runner.Leftovers]).
//   - Parameters that hold secrets reach fence agents through standard input
//     only, and are struck out of all captured output.
//
// What it expects of the process around it: a umask of 022, and, under systemd,
// KillMode=process, because whatever agents start lives in the engine's control
// group. How many agents run at a time is the caller's matter.
//
// The classes are ocf, systemd, lsb, service (systemd or lsb, whichever knows
// the name) and belay, which is built in: [Builtin].
package agent
