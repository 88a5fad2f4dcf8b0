package cib

import "testing"

// A restart is counted. What does not name the count, or names a lower one, asks for
// nothing: a file that is applied again restarts nothing.
func TestRestarts(t *testing.T) {
	was := Empty().Config
	was.Resources["web"] = &Resource{Agent: "belay:dummy", Restarts: 4}
	now, err := Edit(was, EditRequest{Action: "restart", Object: "resource/web"})
	if err != nil {
		t.Fatal(err)
	}
	KeepRestarts(now, was)
	if n := now.Resources["web"].Restarts; n != 5 || was.Resources["web"].Restarts != 4 {
		t.Errorf("%d after a restart of one with 4", n)
	}
	again, err := Edit(now, EditRequest{Action: "update", Object: "resource/web", Value: []byte(`{"agent":"belay:dummy"}`)})
	if err != nil {
		t.Fatal(err)
	}
	KeepRestarts(again, now)
	if n := again.Resources["web"].Restarts; n != 5 {
		t.Errorf("%d after a document without the count", n)
	}
	if _, err := Edit(now, EditRequest{Action: "restart", Object: "node/n1"}); err == nil {
		t.Error("a node is restarted")
	}
}
