package lab

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// PDU is a power switch: a device in the lab's switch with an outlet for every host, operated over
// HTTP, as the fence agent fence_lab does:
//
//	GET  /outlets                       {"n1":"on","n2":"off"}
//	GET  /outlets/n1                    {"state":"on"}
//	POST /outlets/n1/on|off|reboot      {"state":"off"} when it is done
//
// It can be made to misbehave with SetFault.
type PDU struct {
	lab    *Lab
	cfg    PDUConfig
	addr   netip.AddrPort
	server *http.Server
	served sync.WaitGroup
	done   chan struct{} // closed by Close

	mu       sync.Mutex
	fault    PDUFault
	claims   map[string]string // states claimed while lying
	requests []PDURequest
}

// DefaultPDUPort is the port of a power switch, and what fence_lab uses by default.
const DefaultPDUPort = 8000

// PDUConfig describes a power switch.
type PDUConfig struct {
	Port           int    // default DefaultPDUPort
	User, Password string // no login is needed when both are empty
	// StayOff makes reboot leave the host off, so that a measurement sees one failure only. The
	// answer is that of a reboot.
	StayOff bool
}

// PDUFault is how a power switch misbehaves.
type PDUFault struct {
	Outlet string        // name of the host concerned; empty: all
	Fail   bool          // refuse every request with an error
	Hang   bool          // never answer
	Stuck  bool          // accept orders and do nothing, but tell the true state
	Lie    bool          // accept orders, do nothing, and tell the ordered state
	Delay  time.Duration // wait before doing anything
}

// PDURequest is a request that a power switch got.
type PDURequest struct {
	At     time.Time // arrival
	Took   time.Duration
	From   netip.Addr
	Action string // list, status, on, off, reboot
	Outlet string // empty for list
	Status int    // of the HTTP answer; 0 for none
}

// NewPDU plugs all hosts into a power switch, which works until Close or the end of the lab. A lab
// may have several.
func (l *Lab) NewPDU(cfg PDUConfig) (*PDU, error) {
	if cfg.Port == 0 {
		cfg.Port = DefaultPDUPort
	}
	listener, err := l.Listen(l.life, "tcp4", fmt.Sprintf(":%d", cfg.Port))
	if err != nil {
		return nil, fmt.Errorf("lab: power switch: %w", err)
	}
	p := &PDU{
		lab: l, cfg: cfg, claims: map[string]string{}, done: make(chan struct{}),
		addr: netip.AddrPortFrom(l.Addr(0), uint16(cfg.Port)),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /outlets", p.handle(func(string) string { return "list" }))
	mux.HandleFunc("GET /outlets/{outlet}", p.handle(func(string) string { return "status" }))
	mux.HandleFunc("POST /outlets/{outlet}/{action}", p.handle(func(action string) string { return action }))
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	p.served.Go(func() { _ = p.server.Serve(listener) }) // ends with ErrServerClosed
	l.mu.Lock()
	l.pdus = append(l.pdus, p)
	l.mu.Unlock()
	return p, nil
}

// Addr is the address on the first network. The device listens on the lab's address on each.
func (p *PDU) Addr() netip.AddrPort { return p.addr }

// SetFault makes the device misbehave, or work again with the zero value.
func (p *PDU) SetFault(f PDUFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	clear(p.claims)
}

// Requests are the requests so far, in the order of their ends; a request that was never answered
// ends when the client gives up.
func (p *PDU) Requests() []PDURequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Close switches the device off; hosts stay as they are. It is safe to call twice.
func (p *PDU) Close() error {
	p.mu.Lock()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	p.mu.Unlock()
	err := p.server.Close()
	p.served.Wait()
	return err
}

// httpError is an error with the status that tells the client about it.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// errNoAnswer means that the client is to get none.
var errNoAnswer = errors.New("no answer")

func (p *PDU) handle(action func(string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req := PDURequest{At: time.Now(), Action: action(r.PathValue("action")), Outlet: r.PathValue("outlet")}
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			req.From = from.Addr()
		}
		answer, err := p.serve(r, req.Action, req.Outlet)
		var coded *httpError
		switch {
		case err == nil:
			req.Status = http.StatusOK
		case errors.Is(err, errNoAnswer):
		case errors.As(err, &coded):
			req.Status = coded.status
		default:
			req.Status = http.StatusInternalServerError
		}
		req.Took = time.Since(req.At)
		p.mu.Lock()
		p.requests = append(p.requests, req)
		p.mu.Unlock()
		p.lab.logf("power switch: %s %s from %s: %d in %s", req.Action, req.Outlet, req.From, req.Status, req.Took.Round(time.Millisecond))
		switch {
		case req.Status == 0:
			panic(http.ErrAbortHandler) // closes the connection without an answer
		case err != nil:
			http.Error(w, err.Error(), req.Status)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer) // the client may be gone
		}
	}
}

// serve does what one request asks for, as well as the faults allow.
func (p *PDU) serve(r *http.Request, action, outlet string) (any, error) {
	if p.cfg.User != "" || p.cfg.Password != "" {
		user, password, _ := r.BasicAuth()
		if user != p.cfg.User || subtle.ConstantTimeCompare([]byte(password), []byte(p.cfg.Password)) == 0 {
			return nil, &httpError{http.StatusUnauthorized, "wrong user or password"}
		}
	}
	p.mu.Lock()
	fault := p.fault
	p.mu.Unlock()
	if fault.Outlet != "" && fault.Outlet != outlet {
		fault = PDUFault{}
	}
	if fault.Hang {
		p.pause(r.Context(), nil)
		return nil, errNoAnswer
	}
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		if !p.pause(r.Context(), timer.C) {
			return nil, errNoAnswer
		}
	}
	if fault.Fail {
		return nil, &httpError{http.StatusInternalServerError, "internal error"}
	}
	if action == "list" {
		states := map[string]string{}
		for _, h := range p.lab.hosts {
			states[h.name] = p.state(h)
		}
		return states, nil
	}
	h, err := p.lab.HostByName(outlet)
	if err != nil {
		return nil, &httpError{http.StatusNotFound, err.Error()}
	}
	if action != "status" {
		if err := p.order(h, action, fault); err != nil {
			return nil, err
		}
	}
	return map[string]string{"state": p.state(h)}, nil
}

// pause waits for the channel; it returns false when the client or the device went away first.
func (p *PDU) pause(ctx context.Context, until <-chan time.Time) bool {
	select {
	case <-until:
		return true
	case <-ctx.Done():
	case <-p.done:
	}
	return false
}

// order carries out on, off or reboot.
func (p *PDU) order(h *Host, action string, fault PDUFault) error {
	var steps []func() error
	claim := action
	switch action {
	case "on":
		steps = append(steps, h.PowerOnDetached)
	case "off":
		steps = append(steps, h.PowerOff)
	case "reboot":
		claim = "on"
		steps = append(steps, h.PowerOff)
		if !p.cfg.StayOff {
			steps = append(steps, h.PowerOnDetached)
		}
	default:
		return &httpError{http.StatusNotFound, "unknown action " + action}
	}
	if fault.Lie {
		p.mu.Lock()
		p.claims[h.name] = claim
		p.mu.Unlock()
	}
	if fault.Lie || fault.Stuck {
		return nil
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// state is on or off, as the device tells it. A hung host has power.
func (p *PDU) state(h *Host) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if claim, ok := p.claims[h.name]; ok {
		return claim
	}
	if h.Power() == Off {
		return "off"
	}
	return "on"
}
