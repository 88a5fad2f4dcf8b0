package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belay-ha/belay/engine/cib"
)

func TestTiming(t *testing.T) {
	for _, c := range []struct{ detection, heartbeat, election time.Duration }{
		{0, 100 * time.Millisecond, 500 * time.Millisecond},
		{time.Second, 100 * time.Millisecond, 500 * time.Millisecond},
		{300 * time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond},
		{200 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond},
		{50 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond},
		{333 * time.Millisecond, 32 * time.Millisecond, 160 * time.Millisecond},
		{30 * time.Second, 1000 * time.Millisecond, 5 * time.Second},
	} {
		if h, e := Timing(c.detection); h != c.heartbeat || e != c.election {
			t.Errorf("detection %v: heartbeat %v, election %v", c.detection, h, e)
		}
	}
}

// What an error says about the transaction decides whether it is tried again:
// these must not be mixed up.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		err  error
		sent bool
		want verdict
		is   error
	}{
		{status.Error(codes.Unavailable, "connection refused"), false, again, ErrUnreachable},
		{status.Error(codes.Unavailable, "transport is closing"), true, unknown, ErrUnknown},
		{status.Error(codes.DeadlineExceeded, "context deadline exceeded"), true, unknown, ErrUnknown},
		{status.Error(codes.Unknown, "raft proposal dropped"), true, again, ErrUnreachable},
		{status.Error(codes.Unknown, "anything"), true, unknown, ErrUnknown},
		{rpctypes.ErrGRPCNoLeader, true, again, ErrUnreachable},
		{rpctypes.ErrGRPCNotSupportedForLearner, true, again, ErrUnreachable},
		{rpctypes.ErrGRPCAuthOldRevision, true, again, ErrUnreachable},
		{rpctypes.ErrGRPCTimeout, true, unknown, ErrUnknown},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, true, unknown, ErrUnknown},
		{rpctypes.ErrGRPCLeaderChanged, true, unknown, ErrUnknown},
		{rpctypes.ErrGRPCStopped, true, unknown, ErrUnknown},
		{rpctypes.ErrGRPCNoSpace, true, final, ErrSpace},
		{rpctypes.ErrGRPCRequestTooLarge, true, final, ErrTooLarge},
		{rpctypes.ErrGRPCPermissionDenied, true, final, ErrDenied},
		{rpctypes.ErrGRPCDuplicateKey, true, final, ErrInvalid},
		{rpctypes.ErrGRPCCorrupt, true, final, ErrCorrupt},
		{rpctypes.ErrGRPCLeaseNotFound, true, noLease, rpctypes.ErrLeaseNotFound},
	} {
		v, err := judge(c.err, c.sent)
		if v != c.want || !errors.Is(err, c.is) {
			t.Errorf("%v: %v %v", c.err, v, err)
		}
	}
}

func TestTurn(t *testing.T) {
	list := []Member{{ID: 3, Name: "n1"}, {ID: 1, Name: "n2"}, {ID: 2, Name: "n3"}}
	lean := func() *pb.StatusResponse {
		return &pb.StatusResponse{Leader: 3, DbSize: 100 << 20, DbSizeInUse: 90 << 20, DbSizeQuota: 2 << 30}
	}
	fat := func() *pb.StatusResponse {
		return &pb.StatusResponse{Leader: 3, DbSize: 100 << 20, DbSizeInUse: 10 << 20, DbSizeQuota: 2 << 30}
	}
	small := func() *pb.StatusResponse {
		return &pb.StatusResponse{Leader: 3, DbSize: 1 << 20, DbSizeInUse: 4096, DbSizeQuota: 2 << 30}
	}
	full := func() *pb.StatusResponse {
		return &pb.StatusResponse{Leader: 3, DbSize: 1 << 20, DbSizeInUse: 4096, DbSizeQuota: 1 << 20, Errors: []string{"alarm:NOSPACE"}}
	}
	cleared := func() *pb.StatusResponse {
		return &pb.StatusResponse{Leader: 3, DbSize: 4096, DbSizeInUse: 4096, DbSizeQuota: 1 << 20, Errors: []string{"alarm:NOSPACE"}}
	}
	for _, c := range []struct {
		name       string
		n1, n2, n3 *pb.StatusResponse
		want       uint64
	}{
		{"nobody needs it", lean(), lean(), small(), 0},
		{"one", lean(), lean(), fat(), 2},
		{"by name, the leader last", fat(), fat(), fat(), 1},
		{"then the next", fat(), lean(), fat(), 2},
		{"then the leader", fat(), lean(), lean(), 3},
		{"full", lean(), cleared(), full(), 2},
	} {
		if got := turn(list, map[uint64]*pb.StatusResponse{3: c.n1, 1: c.n2, 2: c.n3}); got != c.want {
			t.Errorf("%s: %d", c.name, got)
		}
	}
}

func TestLastWords(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  Reason
	}{
		{"", ReasonCrashed},
		{"panic: something\n\ngoroutine 1 [running]:\nmain.main()\n\t/x/y.go:1", ReasonCrashed},
		{`{"level":"warn","msg":"server error","error":"the member has been permanently removed from the cluster"}` + "\nError: this member was removed from the store", ReasonRemoved},
		{`{"level":"warn","msg":"peer sent","error":"walpb: crc mismatch"}` + "\npanic: runtime error", ReasonCrashed},
		{`{"level":"fatal","msg":"failed to open WAL","error":"walpb: crc mismatch"}`, ReasonCorrupt},
		{"panic: freepages: failed to get all reachable pages (page 7: multiple references)\n\ngoroutine 7", ReasonCorrupt},
		{"Error: start the store's member: listen tcp 10.0.0.1:7401: bind: address already in use", ReasonAddress},
		{`{"level":"fatal","msg":"failed to save","error":"write /var/lib: no space left on device"}`, ReasonDisk},
	} {
		var l lastWords
		for line := range strings.Lines(c.lines) {
			if line = strings.TrimRight(line, "\n"); line != "" {
				l.see(line)
			}
		}
		if got, _ := l.explain(); got != c.want {
			t.Errorf("%q: %s", c.lines, got)
		}
	}
}

func TestOrder(t *testing.T) {
	list := []Endpoint{{Node: "n1", URL: "1"}, {Node: "n2", URL: "2", Local: true}, {Node: "n3", URL: "3"}, {Node: "n4", URL: "4"}}
	firsts := map[string]bool{}
	for i := range 50 {
		got := order(list, fmt.Sprintf("node%d", i))
		if len(got) != 4 || !got[0].Local || got[1].Local {
			t.Fatalf("%+v", got)
		}
		firsts[got[1].Node] = true
	}
	if len(firsts) != 3 {
		t.Errorf("all begin with %v", firsts)
	}
}

func TestRangeEnd(t *testing.T) {
	for in, want := range map[string]string{"a": "b", "a/": "a0", "a\xff": "b", "\xff": "\x00"} {
		if got := string(rangeEnd(in)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestBindable(t *testing.T) {
	here := []string{"https://127.0.0.1:7402", "https://127.0.0.2:7402"}
	if got := bindable(t.Context(), here); !slices.Equal(got, here) {
		t.Errorf("%v", got)
	}
	// 203.0.113.0/24 is for documentation (RFC 5737): no machine has it.
	if got := bindable(t.Context(), append(here, "https://203.0.113.1:7402")); !slices.Equal(got, []string{"https://0.0.0.0:7402"}) {
		t.Errorf("%v", got)
	}
}

func TestURLs(t *testing.T) {
	n := &cib.Node{Addresses: []string{"10.0.0.1", "fd00::1"}, Ports: cib.Ports{Store: 17401}}
	if got := fmt.Sprint(PeerURLs(n), ClientURLs(n)); got != "[https://10.0.0.1:7402 https://[fd00::1]:7402] [https://10.0.0.1:17401 https://[fd00::1]:17401]" {
		t.Error(got)
	}
}

// The order to drop an address ends the connections with it, in both directions,
// and no other.
func TestDropConnections(t *testing.T) {
	listen := func(addr string) net.Listener {
		l, err := net.Listen("tcp", addr+":0")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		return l
	}
	connect := func(l net.Listener, from string) (dialed, accepted net.Conn) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		dialed, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		must(t, err)
		accepted, err = l.Accept()
		must(t, err)
		t.Cleanup(func() { dialed.Close(); accepted.Close() })
		for _, c := range []net.Conn{dialed, accepted} {
			must(t, c.SetDeadline(time.Now().Add(5*time.Second)))
		}
		return dialed, accepted
	}
	dead, _ := connect(listen("127.0.0.7"), "127.0.0.9")
	a, b := connect(listen("127.0.0.8"), "127.0.0.9")
	in := listen("127.0.0.8")
	_, came := connect(in, "127.0.0.10")
	ports := listenPorts(&ServerConfig{ListenClients: []string{"https://" + in.Addr().String()}})
	readOrders(strings.NewReader("nonsense\ndrop nonsense\ndrop 127.0.0.7\ndrop-in\n"), ports)
	if _, err := came.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that somebody else made: %v", err)
	}
	if _, err := dead.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that was to end: %v", err)
	}
	_, err := a.Write([]byte("x"))
	must(t, err)
	if _, err := b.Read(make([]byte, 1)); err != nil {
		t.Errorf("another connection: %v", err)
	}
	readOrders(strings.NewReader("drop ::ffff:127.0.0.9\n"), nil)
	if _, err := b.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that came from there: %v", err)
	}
}

// A program that cannot run, or ends at once, is tried again, ever less often;
// stopping it does not wait.
func TestSupervisorBacksOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command []string
		want    Reason
	}{
		{[]string{"/nonexistent/belayd"}, ReasonStart},
		{[]string{"/bin/sh", "-c", "echo 'Error: bind: address already in use' >&2; exit 1", "sh"}, ReasonAddress},
	} {
		changes := make(chan Child, 1000)
		s := NewSupervisor(SupervisorConfig{
			Command: c.command, File: filepath.Join(t.TempDir(), "etcd.json"),
			OnChange: func(ch Child) { changes <- ch },
		})
		must(t, s.Start(t.Context(), ServerConfig{Name: "n1"}))
		for backoffs := 0; backoffs < 3; {
			select {
			case ch := <-changes:
				if ch.State == ChildBackoff {
					backoffs++
					if ch.Reason != c.want {
						t.Errorf("%+v", ch)
					}
				}
			case <-time.After(10 * time.Second):
				t.Fatal("is not tried again")
			}
		}
		if _, err := s.SetAside(t.TempDir(), time.Now()); err == nil {
			t.Error("sets data aside while the member may run")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		must(t, s.Stop(ctx))
		must(t, s.Stop(ctx))
		cancel()
		if st := s.State(); st.State != ChildStopped {
			t.Errorf("%+v", st)
		}
	}
}

// A member does not outlive an engine that was killed, so that the next one finds
// its ports free.
func TestChildEndsWithItsParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	parent := exec.CommandContext(t.Context(), os.Args[0], "parent", filepath.Join(dir, "etcd.json"))
	out, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	var pid int
	_, err = fmt.Fscan(out, &pid)
	must(t, err)
	must(t, parent.Process.Kill())
	_ = parent.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(data), ") Z ") {
			return // gone, or waits for init to notice
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func TestSetAsideKeepsFew(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etcd")
	for i := range 5 {
		must(t, os.Mkdir(dir, 0o700))
		if _, err := setAside(dir, time.Unix(int64(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(root, "*"))
	must(t, err)
	if len(left) != asideMax || !strings.Contains(left[0], "T000002") {
		t.Errorf("%v", left)
	}
}
