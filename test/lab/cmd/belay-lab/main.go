// Command belay-lab gives a developer virtual hosts on one machine, driven from the shell. A lab runs
// in the background from "up" to "down"; every other command is carried out by it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const help = `belay-lab: virtual hosts on this machine

  up [N]            make N hosts (default 3) and power them on; options below
  status            what is on, and where
  shell I [CMD...]  a shell, or a command, in host I; "switch" for I: the lab's own address
  on I              power on, with the boot command      off I     cut the power
  reboot I          off and on                           freeze I  hang all processes
  thaw I            go on
  cut I [NET]       pull the cable of host I             loss I P  lose P percent of its packets
  isolate I [NET]   lose all packets, carrier stays      drop I J  host I no longer hears host J
  undrop I J        it hears again                       heal      end all faults of all links
  log I [SERVICE]   output of a service (boot, console)
  down              power all off and remove everything

I is a number or a name. Options of up:
  --boot SCRIPT     run in each host at each power-on
  --bind SRC:DST    show a path of this machine in the hosts (several times)
  --systemd I,J     hosts with a real systemd
  --net PREFIX      a network (several times); default 10.77.0.0/24 and 10.78.0.0/24
  --prefix NAME     hosts are NAME1, NAME2, ...; default n
Every command takes --name NAME for one of several labs at a time.

Hosts share /shared. Each has the fence agent fence_lab for the power switch at the .254 address:
  fence_lab -a 10.77.0.254 -o off -n n2
`

// request and answer are what goes over the socket, one JSON value each.
type (
	request struct{ Args []string }
	answer  struct{ Output, Error string }
)

func main() {
	err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "belay-lab:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	name, args, err := takeName(args)
	if err != nil {
		return err
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		fmt.Print(help)
		return nil
	}
	state := stateDir(name)
	switch args[0] {
	case "serve": // the background part; started by up
		return serve(state, args[1:])
	case "up":
		return up(name, state, args[1:])
	case "shell":
		return shell(state, args[1:])
	default:
		out, err := call(state, args...)
		fmt.Print(out)
		return err
	}
}

// takeName takes --name out of the arguments.
func takeName(args []string) (name string, rest []string, err error) {
	name = "default"
	for i := 0; i < len(args); i++ {
		value, ok := strings.CutPrefix(args[i], "--name=")
		switch {
		case args[i] == "shell" && i+2 < len(args) && len(rest) == 0: // what follows is another program's
			return name, args[i:], nil
		case ok:
			name = value
		case args[i] == "--name" && i+1 < len(args):
			i++
			name = args[i]
		case args[i] == "--name":
			return "", nil, errors.New("--name needs a name")
		default:
			rest = append(rest, args[i])
		}
	}
	if name == "" || strings.ContainsAny(name, "/\x00") {
		return "", nil, fmt.Errorf("%q cannot be the name of a lab", name)
	}
	return name, rest, nil
}

// stateDir has the socket and the log of a lab.
func stateDir(name string) string {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" {
		base = os.TempDir()
	}
	return filepath.Join(base, fmt.Sprintf("belay-lab.%d.%s", os.Getuid(), name))
}

// up starts the background part and waits until it is ready.
func up(name, state string, args []string) error {
	if conn, err := dial(state); err == nil {
		_ = conn.Close()
		return fmt.Errorf("lab %s is up already: belay-lab down, or choose another --name", name)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	logName := filepath.Join(state, "log")
	log, err := os.Create(logName)
	if err != nil {
		return err
	}
	defer log.Close()
	ready, readyChild, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{os.Args[0], "--name", name, "serve"}, args...),
		Stdout: readyChild, Stderr: log, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = readyChild.Close()
	var a answer
	if err := json.NewDecoder(ready).Decode(&a); err != nil {
		_ = cmd.Wait() // it says why in its log
		text, _ := os.ReadFile(logName)
		_ = os.RemoveAll(state)
		return fmt.Errorf("the lab did not start: %s", strings.TrimSpace(string(text)))
	}
	fmt.Print(a.Output)
	return nil
}

// dial connects to the background part.
func dial(state string) (*net.UnixConn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: filepath.Join(state, "socket")})
	if err != nil {
		return nil, errors.New("no lab is up: belay-lab up")
	}
	return conn, nil
}

// call has a command carried out.
func call(state string, args ...string) (string, error) {
	conn, err := dial(state)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(request{Args: args}); err != nil {
		return "", fmt.Errorf("ask the lab: %w", err)
	}
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return "", fmt.Errorf("the lab gave no answer: %w", err)
	}
	if a.Error != "" {
		return a.Output, errors.New(a.Error)
	}
	return a.Output, nil
}
