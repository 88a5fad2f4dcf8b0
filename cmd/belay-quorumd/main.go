// Command belay-quorumd is the arbitrator outside the clusters: it grants quorum to
// one of two halves, and tickets to one of several clusters.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is stamped by the build.
var version = "dev"

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// exitError is how a program that was run has ended.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[exitError](err); ok {
		return int(exit)
	}
	fmt.Fprintln(errOut, "belay-quorumd:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use: "belay-quorumd", Short: "Arbitrator for clusters", Version: version, SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
		Long: `belay-quorumd stands outside the clusters and decides which half of a cluster that
fell in two may go on, and which of several clusters holds a ticket. Run without a
command it serves.`,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().String("state-dir", "/var/lib/belay-quorumd", "`directory` of what survives a restart")
	root.PersistentFlags().String("socket", "/run/belay-quorumd/admin.sock", "unix `socket` of the administrator")
	serve := serveCmd()
	root.RunE = serve.RunE
	root.Flags().AddFlagSet(serve.Flags())
	root.AddCommand(serve, keyCmd(), statusCmd(), reloadCmd(), ticketCmd(), clusterCmd(), leaseCmd())
	return root
}
