package e2e

import (
	"os"
	"testing"

	"github.com/belay-ha/belay/test/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
