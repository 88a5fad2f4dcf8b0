package usm

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	good := User{Name: "ops", Auth: "SHA-256", AuthPass: "authpass123", Priv: "AES", PrivPass: "privpass123"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if (*User)(nil).Check() == nil {
		t.Error("no user is taken")
	}
	for what, change := range map[string]func(*User){
		"no name":              func(u *User) { u.Name = "" },
		"a name with a space":  func(u *User) { u.Name = "a b" },
		"a name with a line":   func(u *User) { u.Name = "a\nrwuser b" },
		"a short phrase":       func(u *User) { u.AuthPass = "1234567" },
		"a phrase with a line": func(u *User) { u.PrivPass = "12345678\nrwuser x" },
		"a quoted phrase":      func(u *User) { u.PrivPass = `12345678"` },
		"a long phrase":        func(u *User) { u.PrivPass = strings.Repeat("x", 200) },
		"MD5":                  func(u *User) { u.Auth = "MD5" },
		"DES":                  func(u *User) { u.Priv = "DES" },
		"no encryption":        func(u *User) { u.Priv = "" },
	} {
		bad := good
		change(&bad)
		if err := bad.Check(); err == nil {
			t.Errorf("%s: taken", what)
		} else if strings.Contains(err.Error(), "12345678") {
			t.Errorf("%s: a pass phrase is in %q", what, err)
		}
	}
}

// The keys of "maplesyrup" at engine 2 are those of RFC 3414, appendix A.3.2.
func TestLocalize(t *testing.T) {
	u := User{Auth: "SHA", AuthPass: "maplesyrup", PrivPass: "maplesyrup"}
	auth, priv := u.Localize([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2})
	const want = "6695febc9288e36282235fc7151f128497b38f3f"
	if hex.EncodeToString(auth) != want || hex.EncodeToString(priv) != want {
		t.Errorf("%x %x, want %s", auth, priv, want)
	}
	for name, size := range map[string]int{"SHA": 20, "SHA-256": 32, "SHA-512": 64} {
		u := User{Auth: name, AuthPass: "authpass123", PrivPass: "privpass123"}
		one, priv := u.Localize([]byte{1})
		two, _ := u.Localize([]byte{2})
		if len(one) != size || len(priv) != size || string(one) == string(two) || string(one) == string(priv) {
			t.Errorf("%s: %x %x %x", name, one, two, priv)
		}
	}
}
