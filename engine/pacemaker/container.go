package pacemaker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// containersOf remembers what Pacemaker starts the containers of a bundle with. Its
// digests of them are compared with that: the parameters that the containers get
// here are others.
func (im *importer) containersOf(id string, b *cib.Bundle) {
	if b.Launcher() == "rkt" {
		return
	}
	for i := range b.Count() {
		im.containers[b.ContainerOf(id, i)] = containerDigest(id, b, i)
	}
}

// containerDigest is the digest of the implicit parameters of one container, as
// Pacemaker computes it since 2.0.
func containerDigest(id string, b *cib.Bundle, number int) string {
	inside := b.Resource != ""
	addr := b.Address(number)
	var opts strings.Builder
	if b.Launcher() == "docker" {
		opts.WriteString(" --restart=no")
	}
	if addr != "" {
		opts.WriteString(" -h " + cib.BundleNode(id, number))
	}
	opts.WriteString(" -e PCMK_stderr=1")
	if b.NetworkMode != "" {
		opts.WriteString(" --net=" + b.NetworkMode)
	}
	port := cib.DefaultRemotePort
	if b.Network != nil && b.Network.ControlPort != 0 {
		port = b.Network.ControlPort
	}
	opts.WriteString(" -e PCMK_remote_port=" + strconv.Itoa(port))
	mounts := b.Storage
	if inside {
		mounts = append(slices.Clip(mounts),
			cib.BundleMount{SourceDir: "/etc/pacemaker/authkey", TargetDir: "/etc/pacemaker/authkey"},
			cib.BundleMount{SourceDirRoot: "/var/log/pacemaker/bundles", TargetDir: "/var/log"})
	}
	var dirs []string
	for _, m := range mounts {
		source := m.SourceDir
		if source == "" {
			source = m.SourceDirRoot + "/" + cib.BundleNode(id, number)
			dirs = append(dirs, source)
		}
		opts.WriteString(" -v " + source + ":" + m.TargetDir)
		if m.Options != "" {
			opts.WriteString(":" + m.Options)
		}
	}
	for _, p := range containerPorts(b, port) {
		switch {
		case addr != "":
			opts.WriteString(" -p " + addr + ":" + p)
		case b.NetworkMode != "host":
			opts.WriteString(" -p " + p)
		}
	}
	if b.Options != "" {
		opts.WriteString(" " + b.Options)
	}
	opts.WriteString(" ")
	if addr != "" && b.Network.AddsHosts() {
		for i := range b.Count() {
			opts.WriteString(" --add-host=" + cib.BundleNode(id, i) + ":" + b.Address(i))
		}
	}
	params := map[string]string{
		"image": b.Image, "allow_pull": "true", "force_kill": "false", "reuse": "false", "monitor_cmd": "/bin/true",
		"run_opts": opts.String(), "mount_points": strings.Join(dirs, ","),
	}
	switch {
	case b.RunCommand != "":
		params["run_cmd"] = b.RunCommand
	case inside:
		params["run_cmd"] = "/usr/sbin/pacemaker-remoted"
	}
	return digest(params, nil)
}

// containerPorts are the ports that are mapped, "outside:inside".
func containerPorts(b *cib.Bundle, control int) []string {
	var out []string
	if b.Network != nil {
		for _, p := range b.Network.PortMap {
			from := p.Range
			if from == "" {
				from = strconv.Itoa(p.Port)
			}
			to := from
			if p.InternalPort != 0 {
				to = strconv.Itoa(p.InternalPort)
			}
			out = append(out, from+":"+to)
		}
	}
	if b.Resource != "" {
		out = append(out, strconv.Itoa(control)+":"+strconv.Itoa(control))
	}
	return out
}
