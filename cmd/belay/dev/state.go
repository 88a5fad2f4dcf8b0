package dev

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// File is dev.json: everything of a cluster that runs, for programs. It is there
// while the cluster is ready, and replaced whole when something changes. Fields are
// added, never renamed or removed. docs/dev.md describes it.
type File struct {
	Version    int         `json:"version"` // of this format: 1
	Release    string      `json:"release"` // of belay
	Cluster    string      `json:"cluster"`
	Supervisor FileProcess `json:"supervisor"`
	Nodes      []FileNode  `json:"nodes"`
	CA         string      `json:"ca"` // file with the certificate of the cluster's authority
	Service    FileService `json:"service"`
	Fence      FileFence   `json:"fence"`
	Belayd     string      `json:"belayd"`             // the engine's program
	REST       string      `json:"rest,omitempty"`     // address of a management daemon; "": none runs
	CIM        string      `json:"cim,omitempty"`      // URL of its WBEM server
	CIMHTTP    string      `json:"cim_http,omitempty"` // the same without TLS, with --cim-http
	Users      []FileUser  `json:"users,omitempty"`    // who can log in there, one of each role
	SNMP       FileSNMP    `json:"snmp,omitzero"`      // how the nodes answer SNMP; not there without net-snmp's agent
}

// FileUser is somebody who can log in.
type FileUser struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Role     string `json:"role"`
}

// FileProcess is one process.
type FileProcess struct {
	PID int `json:"pid"`
}

// FileNode is one node.
type FileNode struct {
	Name      string   `json:"name"`
	Socket    string   `json:"socket"`     // of its engine
	PID       int      `json:"pid"`        // of its machine: kill -9 is the loss of its power; 0: off
	EnginePID int      `json:"engine_pid"` // of belayd; 0: does not run
	Power     string   `json:"power"`      // on, off
	Addresses []string `json:"addresses"`
	Log       string   `json:"log"`                // of its engine
	REST      string   `json:"rest,omitempty"`     // of its management daemon
	MgmtPID   int      `json:"mgmt_pid,omitempty"` // of its belay-mgmtd; 0: does not run
}

// FileService is the demo service.
type FileService struct {
	Resource string `json:"resource"` // its id in the cluster
	URL      string `json:"url"`
}

// FileFence is the fence device.
type FileFence struct {
	Socket string `json:"socket"`
	Device string `json:"device"` // its id in the cluster
	Agent  string `json:"agent"`
}

// write replaces the file of the directory.
func (f *File) write(dir string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", fileDev, err)
	}
	path := filepath.Join(dir, fileDev)
	// Readers see the old file or the new one, never a part.
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", fileDev, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", fileDev, err)
	}
	return nil
}

// readFile reads the file of the directory.
func readFile(dir string) (*File, error) {
	b, err := os.ReadFile(filepath.Join(dir, fileDev))
	if err != nil {
		return nil, fmt.Errorf("no cluster is ready in %s: %w", dir, err)
	}
	f := &File{}
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, fileDev), err)
	}
	return f, nil
}

// nodes turns what is known of the machines into the nodes of the file.
func fileNodes(views []view) []FileNode {
	out := make([]FileNode, len(views))
	for i := range views {
		v := &views[i]
		out[i] = FileNode{Name: v.name, Socket: v.socket, PID: v.machine, EnginePID: v.engine, Power: "on", Addresses: v.addresses, Log: v.log, MgmtPID: v.mgmt}
		if v.rest != "" {
			out[i].REST = "https://" + v.rest
		}
		if v.state == off {
			out[i].Power = "off"
		}
	}
	return out
}
