// Command fence_lab is the fence agent for the lab's power switch. It is driven like every agent of
// the Debian package fence-agents: options as name=value lines on the standard input, or as flags.
//
// Exit codes: 0 done (for status: on), 2 only for status: off, 1 failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// pollInterval is the time between two looks at the outlet while waiting for it to switch.
const pollInterval = 50 * time.Millisecond

// The texts are those of the fence-agents library, which programs that run agents look for.
var (
	errStatus     = errors.New("Failed: Unable to obtain correct plug status or plug is not available") //nolint:staticcheck // see above
	errWaitingOff = errors.New("Failed: Timed out waiting to power OFF")                                //nolint:staticcheck // see above
	errWaitingOn  = errors.New("Failed: Timed out waiting to power ON")                                 //nolint:staticcheck // see above
	errLogin      = errors.New("Unable to connect/login to fencing device")                             //nolint:staticcheck // see above
	errTimeout    = errors.New("Connection timed out")                                                  //nolint:staticcheck // see above
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole agent.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, warnings, err := parse(args, stdin)
	log := func(level, text string) {
		if !o.is("quiet") {
			fmt.Fprintf(stderr, "%s %s: %s\n\n", time.Now().Format("2006-01-02 15:04:05,000"), level, text)
		}
	}
	for _, w := range warnings {
		log("WARNING", w)
	}
	if err == nil {
		if text, ok := describe(o); ok {
			fmt.Fprint(stdout, text)
			return 0
		}
		err = o.validate()
	}
	if err != nil {
		log("ERROR", err.Error())
		log("ERROR", "Please use '-h' for usage")
		return 1
	}
	code, err := act(ctx, o, stdout, func(text string) { log("WARNING", text) })
	if err != nil {
		log("ERROR", err.Error())
		return 1
	}
	return code
}

// describe answers what needs no device.
func describe(o options) (string, bool) {
	switch {
	case o.is("help"):
		return usage(), true
	case o.is("version"):
		return "fence_lab\n", true
	case o["action"] == "metadata":
		return metadata(), true
	}
	return "", false
}

// act carries out the action and says how it went.
func act(ctx context.Context, o options, out io.Writer, warn func(string)) (int, error) {
	if o["action"] == "validate-all" {
		return 0, nil
	}
	if err := readPassword(ctx, o); err != nil {
		return 0, err
	}
	if err := sleep(ctx, o.seconds("delay")); err != nil {
		return 0, err
	}
	d := newDevice(o)
	switch o["action"] {
	case "list", "list-status", "monitor":
		return 0, list(ctx, d, o, out)
	}
	state, err := d.status(ctx, o["plug"])
	if err != nil {
		return 0, err
	}
	switch o["action"] {
	case "status":
		fmt.Fprintf(out, "Status: %s\n", strings.ToUpper(state))
		if state == "off" {
			return 2, nil
		}
	case state:
		fmt.Fprintf(out, "Success: Already %s\n", strings.ToUpper(state))
	case "reboot":
		if err := reboot(ctx, d, o, state, warn); err != nil {
			return 0, err
		}
		fmt.Fprintln(out, "Success: Rebooted")
	default:
		if err := power(ctx, d, o, o["action"]); err != nil {
			return 0, err
		}
		fmt.Fprintf(out, "Success: Powered %s\n", strings.ToUpper(o["action"]))
	}
	return 0, nil
}

func list(ctx context.Context, d *device, o options, out io.Writer) error {
	states, err := d.list(ctx)
	if err != nil || o["action"] == "monitor" {
		return err
	}
	var names []string
	for name := range states {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		// The alias between the separators is empty: outlets have no second name.
		fmt.Fprint(out, name, o["separator"])
		if o["action"] == "list-status" {
			fmt.Fprint(out, o["separator"], strings.ToUpper(states[name]))
		}
		fmt.Fprintln(out)
	}
	return nil
}

// reboot succeeds once the power was seen off: the node is fenced then, whether it comes back or not.
func reboot(ctx context.Context, d *device, o options, state string, warn func(string)) error {
	if o["method"] == "cycle" {
		return d.order(ctx, o["plug"], "reboot")
	}
	if state != "off" {
		if err := power(ctx, d, o, "off"); err != nil {
			return err
		}
	}
	if err := power(ctx, d, o, "on"); err != nil {
		warn(err.Error())
	}
	return nil
}

// power orders a state and waits until the device tells it.
func power(ctx context.Context, d *device, o options, want string) error {
	tries := 1
	if want == "on" {
		tries = 1 + o.number("retry_on")
	}
	failed := errWaitingOff
	if want == "on" {
		failed = errWaitingOn
	}
	for range tries {
		if err := d.order(ctx, o["plug"], want); err != nil {
			return err
		}
		if err := sleep(ctx, o.seconds("power_wait")); err != nil {
			return err
		}
		deadline := time.Now().Add(o.seconds("power_timeout"))
		for {
			state, err := d.status(ctx, o["plug"])
			if err != nil {
				return err
			}
			if state == want {
				return nil
			}
			if time.Now().After(deadline) {
				break
			}
			if err := sleep(ctx, pollInterval); err != nil {
				return err
			}
		}
	}
	return failed
}

// readPassword gets the password from the script where one is given.
func readPassword(ctx context.Context, o options) error {
	script := o["password_script"]
	if script == "" {
		return nil
	}
	out, err := exec.CommandContext(ctx, script).Output()
	if err != nil {
		return fmt.Errorf("password script %s: %w", script, err)
	}
	o["password"] = strings.TrimRight(string(out), "\n")
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
