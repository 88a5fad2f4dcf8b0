package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/test/lab"
)

// serve is the background part: it has the lab and carries out commands until down or a signal.
func serve(state string, args []string) error {
	if err := lab.CheckTools(); err != nil {
		return err
	}
	if err := lab.Enter(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	cfg, err := config(args)
	if err != nil {
		return err
	}
	l, err := lab.New(cfg)
	if err != nil {
		return err
	}
	err = serveLab(ctx, stop, l, state)
	return errors.Join(err, l.Close(), os.RemoveAll(state))
}

func serveLab(ctx context.Context, stop func(), l *lab.Lab, state string) error {
	if err := l.InstallFenceAgent(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "hosts are without fence agent: %v\n", err) // outside the module's tree
	}
	if _, err := l.NewPDU(lab.PDUConfig{}); err != nil {
		return err
	}
	if err := l.PowerOnAll(ctx); err != nil {
		return err
	}
	socket := filepath.Join(state, "socket")
	if err := os.RemoveAll(socket); err != nil { // of a lab that was killed
		return err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		_ = listener.Close()
	}()
	// The answer to up. Nobody reads the standard output after this.
	if err := json.NewEncoder(os.Stdout).Encode(answer{Output: status(l)}); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil //nolint:nilerr // closed by down or a signal
		}
		if handle(ctx, l, conn) {
			stop()
		}
	}
}

// handle carries out one command and says whether it was down.
func handle(ctx context.Context, l *lab.Lab, conn net.Conn) (down bool) {
	defer conn.Close()
	var r request
	if err := json.NewDecoder(conn).Decode(&r); err != nil || len(r.Args) == 0 {
		return false
	}
	var a answer
	if r.Args[0] == "down" {
		// Closed here, so that down returns when all is gone; Close is safe twice.
		down = true
		if err := l.Close(); err != nil {
			a.Error = err.Error()
		}
	} else {
		out, err := command(ctx, l, r.Args[0], r.Args[1:])
		a.Output = out
		if err != nil {
			a.Error = err.Error()
		}
	}
	_ = json.NewEncoder(conn).Encode(a) // the caller may be gone
	return down
}

// command carries out all but up, down and shell.
func command(ctx context.Context, l *lab.Lab, name string, args []string) (string, error) {
	switch name {
	case "status":
		return status(l), nil
	case "heal":
		return "", l.Heal()
	}
	if len(args) == 0 {
		return "", fmt.Errorf("unknown command %q, or a host is missing; see belay-lab help", name)
	}
	if name == "where" && args[0] == "switch" {
		return asJSON(place{Netns: l.Netns()})
	}
	h, err := host(l, args[0])
	if err != nil {
		return "", err
	}
	args = args[1:]
	switch name {
	case "where":
		if h.Pid() == 0 {
			return "", fmt.Errorf("%s is off", h.Name())
		}
		return asJSON(place{Pid: h.Pid(), Cgroup: h.ExecCgroup()})
	case "on":
		return "", h.PowerOn(ctx)
	case "off":
		return "", h.PowerOff()
	case "reboot":
		return "", h.Reboot(ctx)
	case "freeze":
		return "", h.Hang()
	case "thaw":
		return "", h.Thaw()
	case "log":
		return showLog(l, h, args)
	case "cut", "isolate":
		networks, err := numbers(l, args)
		if err != nil {
			return "", err
		}
		if name == "cut" {
			return "", h.Unplug(networks...)
		}
		return "", h.Isolate(networks...)
	case "loss":
		if len(args) != 1 {
			return "", errors.New("loss needs a percentage")
		}
		percent, err := strconv.ParseFloat(strings.TrimSuffix(args[0], "%"), 64)
		if err != nil {
			return "", fmt.Errorf("loss of %q: %w", args[0], err)
		}
		return "", h.Loss(percent)
	case "drop", "undrop":
		if len(args) != 1 {
			return "", fmt.Errorf("%s needs two hosts", name)
		}
		from, err := host(l, args[0])
		if err != nil {
			return "", err
		}
		if name == "drop" {
			return "", l.Drop(from, h)
		}
		return "", l.Undrop(from, h)
	}
	return "", fmt.Errorf("unknown command %q; see belay-lab help", name)
}

func asJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// host finds a host by number or name.
func host(l *lab.Lab, arg string) (*lab.Host, error) {
	if i, err := strconv.Atoi(arg); err == nil && i >= 1 && i <= len(l.Hosts()) {
		return l.Host(i), nil
	}
	return l.HostByName(arg)
}

// numbers reads network numbers.
func numbers(l *lab.Lab, args []string) ([]int, error) {
	var ns []int
	for _, a := range args {
		n, err := strconv.Atoi(a)
		if err != nil || n < 0 || n >= l.Networks() {
			return nil, fmt.Errorf("there is no network %q, only 0 to %d", a, l.Networks()-1)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

func status(l *lab.Lab) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "HOST\tPOWER\tBOOTS")
	for n := range l.Networks() {
		fmt.Fprintf(w, "\tETH%d", n)
	}
	fmt.Fprintln(w)
	for _, h := range l.Hosts() {
		fmt.Fprintf(w, "%s\t%s\t%d", h.Name(), h.Power(), h.Boots())
		for n := range l.Networks() {
			fmt.Fprintf(w, "\t%s", h.Addr(n))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to memory
	fmt.Fprintf(&b, "power switch: %s:%d; shared storage: /shared, here %s\n", l.Addr(0), lab.DefaultPDUPort, l.Shared())
	for _, f := range l.Faults() {
		fmt.Fprintln(&b, "fault:", f)
	}
	return b.String()
}

// showLog prints the output of a service, or the names of the services that have some.
func showLog(l *lab.Lab, h *lab.Host, args []string) (string, error) {
	prefix := filepath.Join(l.Dir(), "log", h.Name()+"-")
	if len(args) > 0 {
		b, err := os.ReadFile(prefix + args[0])
		return string(b), err
	}
	names, err := filepath.Glob(prefix + "*")
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintln(&b, strings.TrimPrefix(name, prefix))
	}
	return b.String(), err
}

// config reads the arguments of up.
func config(args []string) (lab.Config, error) {
	cfg := lab.Config{Logf: func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if n, err := strconv.Atoi(arg); err == nil {
			cfg.Hosts = n
			continue
		}
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			if len(args) == 0 {
				return cfg, fmt.Errorf("%s needs a value; see belay-lab help", arg)
			}
			value, args = args[0], args[1:]
		}
		if err := option(&cfg, name, value); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

func option(cfg *lab.Config, name, value string) error {
	switch name {
	case "--boot":
		cfg.Boot = func(_ context.Context, h *lab.Host) error {
			// Not under the context of the power-on: the boot goes on in the background.
			_, err := h.StartCommand("boot", h.Command(context.Background(), "sh", "-c", value))
			return err
		}
	case "--bind":
		source, target, ok := strings.Cut(value, ":")
		if !ok {
			return fmt.Errorf("--bind %s: SOURCE:TARGET is needed", value)
		}
		source, err := filepath.Abs(source)
		if err != nil {
			return err
		}
		cfg.Binds = append(cfg.Binds, lab.Bind{Source: source, Target: target})
	case "--systemd":
		for s := range strings.SplitSeq(value, ",") {
			i, err := strconv.Atoi(s)
			if err != nil {
				return fmt.Errorf("--systemd: %w", err)
			}
			cfg.Systemd = append(cfg.Systemd, i)
		}
	case "--net":
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			return fmt.Errorf("--net: %w", err)
		}
		cfg.Networks = append(cfg.Networks, prefix)
	case "--prefix":
		cfg.Prefix = value
	default:
		return fmt.Errorf("unknown option %q; see belay-lab help", name)
	}
	return nil
}
