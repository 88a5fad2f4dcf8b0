// Belay-sim runs made-up clusters from seeds and checks what must never happen.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/belay-ha/belay/test/sim"
)

func main() { os.Exit(run()) }

func run() int {
	var (
		seed    = flag.Uint64("seed", 0, "run this one seed and describe it")
		trace   = flag.Bool("trace", false, "with -seed: print what happened")
		lines   = flag.Int("lines", 0, "with -trace: only the last lines; 0 means all")
		shrink  = flag.Bool("shrink", false, "with -seed: look for the smallest scenario that breaks the same rule")
		seeds   = flag.Uint64("seeds", 1000, "how many seeds to run")
		from    = flag.Uint64("from", 1, "the first of them")
		every   = flag.Uint64("every", 1, "only each n-th seed; those that are 1 modulo 3 migrate the most")
		nodes   = flag.Int("nodes", 0, "nodes of each cluster; 0 means 3 to 7, 2 have an arbitrator")
		dump    = flag.Bool("dump", false, "with -seed: print what the store has at the end, as JSON")
		at      = flag.Duration("at", 0, "with -seed: print what is in flight and planned at this time")
		keep    = flag.Int("keep", 1, "go on until so many seeds have failed")
		mutant  = flag.String("mutant", "", "break the engine on purpose; \"list\" names the ways")
		profile = flag.String("cpuprofile", "", "write a CPU profile to this file")
	)
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		defer pprof.StopCPUProfile()
	}
	var broken *sim.Mutant
	for i := range sim.Mutants {
		m := &sim.Mutants[i]
		if *mutant == "list" {
			fmt.Printf("%-24s %s\n", m.Name, m.What)
		}
		if m.Name == *mutant {
			broken = m
		}
	}
	switch {
	case *mutant == "list":
		return 0
	case *mutant != "" && broken == nil:
		fmt.Fprintf(os.Stderr, "there is no mutant %q; -mutant list names them\n", *mutant)
		return 2
	}
	if *seed != 0 && *at != 0 {
		sc := sim.Generate(*seed, *nodes)
		if *shrink {
			sc = sim.Shrink(sc, broken, 30*time.Second)
		}
		sim.PlanAt(sc, *at, os.Stdout)
		return 0
	}
	if *seed != 0 {
		return one(*seed, *nodes, *trace, *shrink, *dump, *lines, broken)
	}
	rep := sim.RunSeeds(sim.Options{From: *from, Seeds: *seeds, Every: *every, Nodes: *nodes, FailuresMax: *keep, Mutant: broken})
	fmt.Printf("%d worlds in %s (%.0f a second), %s of virtual time, %d events\n", rep.Worlds, rep.Took.Round(time.Millisecond),
		float64(rep.Worlds)/rep.Took.Seconds(), rep.Virtual.Round(time.Second), rep.Steps)
	for i, b := range rep.Failed {
		if i == 0 && *keep == 1 {
			sim.Explain(b, broken, 30*time.Second, 80, os.Stdout)
			continue
		}
		fmt.Printf("seed %d: %v\n", b.Seed, b.Failure)
	}
	if len(rep.Failed) > 0 {
		return 1
	}
	return 0
}

func one(seed uint64, nodes int, trace, shrink, dump bool, lines int, broken *sim.Mutant) int {
	sc := sim.Generate(seed, nodes)
	if shrink {
		sc = sim.Shrink(sc, broken, 30*time.Second)
	}
	fmt.Print(sc)
	w := sim.New(sc)
	w.Break(broken)
	f := w.Run()
	if trace {
		sim.Trace(sc, broken, lines, os.Stdout)
	}
	if dump {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", " ")
		if err := enc.Encode(w.Snapshot()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	if f != nil {
		fmt.Println(f)
		return 1
	}
	fmt.Printf("no rule broken; fingerprint %016x\n", w.Hash())
	return 0
}
