package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// probing.go sets a variable of etcd that etcd does not offer to set. The linker takes
// any name: were it gone, or a constant, nothing would tell. This does.
func TestProberIntervalIsThere(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp").Output()
	must(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "*.go"))
	must(t, err)
	declared, used := false, 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				for _, s := range n.Specs {
					if v, ok := s.(*ast.ValueSpec); ok && n.Tok == token.VAR && v.Names[0].Name == "proberInterval" {
						declared = true
					}
				}
			case *ast.CallExpr:
				for _, a := range n.Args {
					if id, ok := a.(*ast.Ident); ok && id.Name == "proberInterval" {
						used++
					}
				}
			}
			return true
		})
	}
	if !declared || used == 0 {
		t.Errorf("etcd's rafthttp has no variable proberInterval any more (declared %t, used in %d calls): probing.go sets nothing; look for what replaced it, or take the file out", declared, used)
	}
}
