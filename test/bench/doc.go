// Package bench holds the measures of the whole product and their goals.
//
// A suite measures and adds figures to a [Report]; [Suites] lists them. The
// program in run/ executes them, prints one table and fails when a figure
// misses its goal. Benchmarks of single packages stand beside their code.
package bench
