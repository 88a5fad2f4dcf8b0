package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// containerInterval is how often a container and its address are looked at, as in
// Pacemaker.
const containerInterval = time.Minute

// containerParameters are what the agent of a container needs to start one replica.
func containerParameters(id string, b *cib.Bundle, number int) map[string]string {
	params := map[string]string{"image": b.Image, "allow_pull": "true", "force_kill": "false", "reuse": "false", "monitor_cmd": "/bin/true"}
	name := cib.BundleNode(id, number)
	addr := b.Address(number)
	opts := []string{"--restart=no"}
	var dirs []string
	if addr != "" {
		opts = append(opts, "-h", name)
	}
	opts = append(opts, "-e", "PCMK_stderr=1", "--net="+networkMode(b))
	if b.Resource != "" {
		opts = append(opts, "-e", "PCMK_remote_port="+strconv.Itoa(controlPort(b)))
		listen := ":" + strconv.Itoa(controlPort(b))
		if b.NetworkMode == "host" {
			listen = addr + listen // other replicas may be on the same host
		}
		params["run_cmd"] = "/usr/sbin/belayd --remote --listen " + listen
		state := cib.GuestDir + "/" + name
		dirs = append(dirs, state)
		opts = append(opts, "-v", state+":"+cib.StateDir)
	}
	for _, m := range b.Storage {
		source := m.SourceDir
		if source == "" {
			source = m.SourceDirRoot + "/" + name
			dirs = append(dirs, source)
		}
		opts = append(opts, "-v", source+":"+m.TargetDir+prefixed(":", m.Options))
	}
	opts = append(opts, portOptions(b, addr)...)
	if addr != "" && b.Network.AddsHosts() {
		for i := range b.Count() {
			opts = append(opts, "--add-host="+cib.BundleNode(id, i)+":"+b.Address(i))
		}
	}
	if b.Options != "" {
		opts = append(opts, b.Options)
	}
	if b.RunCommand != "" {
		params["run_cmd"] = b.RunCommand
	}
	params["run_opts"], params["mount_points"] = strings.Join(opts, " "), strings.Join(dirs, ",")
	return params
}

func networkMode(b *cib.Bundle) string {
	if b.NetworkMode == "" {
		return "bridge"
	}
	return b.NetworkMode
}

func controlPort(b *cib.Bundle) int {
	if b.Network == nil || b.Network.ControlPort == 0 {
		return cib.DefaultRemotePort
	}
	return b.Network.ControlPort
}

// portOptions maps the ports of a container.
func portOptions(b *cib.Bundle, addr string) []string {
	if b.Network == nil || b.NetworkMode == "host" && addr == "" {
		return nil
	}
	var out []string
	mapped := func(outside, inside string) { out = append(out, "-p", prefixedBy(addr, ":")+outside+":"+inside) }
	for _, p := range b.Network.PortMap {
		switch {
		case p.Range != "":
			mapped(p.Range, p.Range)
		case p.InternalPort != 0:
			mapped(strconv.Itoa(p.Port), strconv.Itoa(p.InternalPort))
		default:
			mapped(strconv.Itoa(p.Port), strconv.Itoa(p.Port))
		}
	}
	if b.Resource != "" {
		mapped(strconv.Itoa(controlPort(b)), strconv.Itoa(controlPort(b)))
	}
	return out
}

// prefixed puts before in front of text that is not empty.
func prefixed(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// prefixedBy puts after behind text that is not empty.
func prefixedBy(text, after string) string {
	if text == "" {
		return ""
	}
	return text + after
}
