// Command run executes the suites of package bench, prints their figures with
// the goals, and exits with 1 when one is missed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/belay-ha/belay/test/bench"
	"github.com/belay-ha/belay/test/lab"
)

func main() {
	if os.Getenv(bench.VoterVariable) != "" {
		if err := bench.Voter(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(bench.SubagentVariable); dir != "" {
		if err := bench.Subagent(dir, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pattern := flag.String("run", ".", "measure the suites whose names match this regular expression")
	file := flag.String("json", "", "also write the figures to this file, one JSON object a line")
	flag.Parse()
	if err := lab.Enter(); err != nil { // the suites of the engine run in the lab
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *pattern, *file)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pattern, file string) error {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("read -run: %w", err)
	}
	report := bench.Run(ctx, os.Stderr, bench.Suites, match)
	if err := report.WriteTable(os.Stdout); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	if file != "" {
		if err := writeJSON(report, file); err != nil {
			return err
		}
	}
	return report.Err()
}

func writeJSON(report *bench.Report, file string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("create figures: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("write figures: %w", cerr)
		}
	}()
	return report.WriteJSON(f)
}
