package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// A Goal bounds a figure. The zero value bounds nothing.
type Goal struct {
	kind  goalKind
	limit float64
}

type goalKind uint8

const (
	none goalKind = iota
	atMost
	atLeast
)

// AtMost is the goal that a figure is not above limit, in the figure's unit.
func AtMost(limit float64) Goal { return Goal{atMost, limit} }

// AtLeast is the goal that a figure is not below limit, in the figure's unit.
func AtLeast(limit float64) Goal { return Goal{atLeast, limit} }

// Met reports whether a value reaches the goal. A value that is no number
// reaches none.
func (g Goal) Met(value float64) bool {
	switch g.kind {
	case atMost:
		return value <= g.limit
	case atLeast:
		return value >= g.limit
	case none:
	}
	return !math.IsNaN(value)
}

// Ratio says how far a value is from the goal: 1 reaches it exactly, 2 is twice
// as good, 0.5 half as good. It is 0 where there is no goal.
func (g Goal) Ratio(value float64) float64 {
	switch {
	case g.kind == atMost && value > 0:
		return g.limit / value
	case g.kind == atMost && value <= 0:
		return math.Inf(1)
	case g.kind == atLeast && g.limit > 0:
		return value / g.limit
	}
	return 0
}

// String returns the goal as in the table: "<= 3", ">= 20", or "-".
func (g Goal) String() string {
	switch g.kind {
	case atMost:
		return fmt.Sprintf("<= %s", number(g.limit))
	case atLeast:
		return fmt.Sprintf(">= %s", number(g.limit))
	case none:
	}
	return "-"
}

// A Figure is one measured value.
type Figure struct {
	Name  string  // what was measured, "failover VIP, default settings"
	Value float64 // median, where it was measured several times
	Unit  string  // ms, s, MB, %, 1/s, x
	Goal  Goal
	Note  string // how it was measured, or what it is made of
	// Peer and PeerValue are the same measure of another product, taken in the
	// same run on the same machine; "" where there is none.
	Peer      string
	PeerValue float64
}

// A Report collects figures in the order in which they are measured.
type Report struct {
	Figures []Figure
	Faults  []error // suites that could not measure
	// Skipped are the measures of other products that could not be taken.
	Skipped []string
}

// Add appends a figure.
func (r *Report) Add(f Figure) { r.Figures = append(r.Figures, f) }

// Fail records that a suite could not measure. A report with faults has failed:
// a figure that is not there has not reached its goal.
func (r *Report) Fail(suite string, err error) {
	r.Faults = append(r.Faults, fmt.Errorf("%s: %w", suite, err))
}

// Skip says that something was not measured, which is no failure of ours.
func (r *Report) Skip(what string, err error) {
	r.Skipped = append(r.Skipped, fmt.Sprintf("%s: %v", what, err))
}

// Err returns one error that names every figure below its goal and every fault,
// and an error when nothing at all was measured.
func (r *Report) Err() error {
	if len(r.Figures) == 0 && len(r.Faults) == 0 {
		return errors.New("nothing was measured")
	}
	errs := append([]error(nil), r.Faults...)
	for _, f := range r.Figures {
		if !f.Goal.Met(f.Value) {
			errs = append(errs, fmt.Errorf("%s: %s %s, goal %s %s", f.Name, number(f.Value), f.Unit, f.Goal, f.Unit))
		}
	}
	return errors.Join(errs...)
}

// WriteTable writes the figures as a table, one a line, and the faults below it.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "FIGURE\tVALUE\tUNIT\tGOAL\tRATIO\tRESULT\tPEER\tNOTE") // Flush reports the error
	for _, f := range r.Figures {
		ratio, result, peer := "-", "-", "-"
		if f.Goal.kind != none {
			ratio, result = number(f.Goal.Ratio(f.Value)), "ok"
		}
		if !f.Goal.Met(f.Value) {
			result = "MISSED"
		}
		if f.Peer != "" {
			peer = fmt.Sprintf("%s %s", f.Peer, number(f.PeerValue))
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, number(f.Value), f.Unit, f.Goal, ratio, result, peer, f.Note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, fault := range r.Faults {
		if _, err := fmt.Fprintf(w, "not measured: %v\n", fault); err != nil {
			return err
		}
	}
	return r.writeSkipped(w)
}

// writeSkipped says loudly what was not measured.
func (r *Report) writeSkipped(w io.Writer) error {
	for _, s := range r.Skipped {
		if _, err := fmt.Fprintf(w, "!!! SKIPPED: %s\n", s); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes the figures for programs, one object a line.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, f := range r.Figures {
		line := struct {
			Name      string   `json:"name"`
			Value     *float64 `json:"value"` // null where it is no number
			Unit      string   `json:"unit"`
			Goal      string   `json:"goal,omitempty"`
			Met       bool     `json:"met"`
			Note      string   `json:"note,omitempty"`
			Peer      string   `json:"peer,omitempty"`
			PeerValue float64  `json:"peerValue,omitempty"`
		}{Name: f.Name, Unit: f.Unit, Met: f.Goal.Met(f.Value), Note: f.Note, Peer: f.Peer, PeerValue: f.PeerValue}
		if !math.IsNaN(f.Value) && !math.IsInf(f.Value, 0) {
			line.Value = &f.Value
		}
		if f.Goal.kind != none {
			line.Goal = f.Goal.String()
		}
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("write figure %s: %w", f.Name, err)
		}
	}
	return nil
}

// number writes a value with three significant digits, and large ones whole.
func number(v float64) string {
	if abs := math.Abs(v); abs >= 1000 && !math.IsInf(v, 0) {
		return fmt.Sprintf("%.0f", v)
	}
	s := fmt.Sprintf("%.3g", v)
	if strings.Contains(s, "e") {
		s = fmt.Sprintf("%g", v)
	}
	return s
}
