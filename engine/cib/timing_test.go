package cib

import (
	"strings"
	"testing"
	"time"
)

func timingConfig() *Config {
	sec := func(n int) Duration { return Duration(n) * Duration(time.Second) }
	return &Config{
		Nodes:        map[string]*Node{"n1": {Voter: true}, "n2": {Voter: true}},
		FenceDevices: map[string]*FenceDevice{"pdu": {Agent: "fence_x", Delay: sec(2), Timeout: sec(10), Retries: 2}},
		Resources: map[string]*Resource{
			"db":  {Agent: "ocf:x:Db", Operations: []Operation{{Name: OpStart, Timeout: sec(90)}, {Name: OpStop, Timeout: sec(30)}}},
			"web": {Agent: "ocf:x:Web"},
		},
		QuorumDevices: map[string]*QuorumDevice{"q": {Kind: QuorumDeviceQuorumd, Parameters: map[string]string{"servers": "q1", "fingerprint": "sha256:" + strings.Repeat("A", 43) + "="}}},
	}
}

// The sums are those of the options, and the longest term is named.
func TestCheckTiming(t *testing.T) {
	c := timingConfig()
	got := CheckTiming(c)
	if len(got.Problems) > 0 {
		t.Errorf("a configuration without faults has the problems %q", got.Problems)
	}
	worst := map[string]time.Duration{}
	for _, b := range got.Budgets {
		var sum, longest time.Duration
		for _, term := range b.Terms {
			sum += term.Time
			longest = max(longest, term.Time)
			if term.Time < 0 || term.From == "" {
				t.Errorf("%s: the term %+v", b.Name, term)
			}
		}
		for _, term := range b.Terms {
			if term.Name == b.Dominant && term.Time != longest {
				t.Errorf("%s: %s is not the longest term", b.Name, b.Dominant)
			}
		}
		if sum != b.Worst {
			t.Errorf("%s: %s is not the sum %s", b.Name, b.Worst, sum)
		}
		worst[b.Name] = b.Worst
	}
	// detection 1s and a heartbeat of 200ms; delay 2s, three tries and a reading of 10s; 90s.
	if w := worst["a node dies: its services run elsewhere"]; w != 1200*time.Millisecond+42*time.Second+90*time.Second {
		t.Errorf("a node dies: %s", w)
	}
	if w := worst["a node loses quorum: nothing runs there, or it is reset"]; w != c.Cluster.Options.LoserTime() {
		t.Errorf("a node loses quorum: %s, and not %s", w, c.Cluster.Options.LoserTime())
	}
	if w := worst["quorum device q: one of two voters dies, its services run on the other one"]; w != 1200*time.Millisecond+c.Cluster.Options.LoserTime()+134*time.Second {
		t.Errorf("one of two voters dies: %s", w)
	}
}

// Times that do not fit together are named, each by its option.
func TestCheckTimingProblems(t *testing.T) {
	for name, wrong := range map[string]func(*Config){
		"stop-grace": func(c *Config) {
			grace := Duration(10 * time.Second)
			c.Cluster.Options.StopGrace = &grace
		},
		"validity":           func(c *Config) { c.Cluster.Options.Validity = Duration(500 * time.Millisecond) },
		"hand-over-delay":    func(c *Config) { c.QuorumDevices["q"].Parameters["hand-over-delay"] = "5s" },
		"watchdog-timeout":   func(c *Config) { c.Cluster.Options.WatchdogTimeout = Duration(1500 * time.Millisecond) },
		"can fence n2":       func(c *Config) { c.FenceDevices["pdu"].Targets = map[string]string{"n1": "1"} },
		"is reset before it": func(c *Config) { c.Cluster.OpDefaults.Timeout = Duration(2 * time.Minute) },
	} {
		c := timingConfig()
		wrong(c)
		if got := CheckTiming(c).Problems; !strings.Contains(strings.Join(got, "\n"), name) {
			t.Errorf("%s: the problems are %q", name, got)
		}
	}
}
