// Package compat runs the scheduler cases of another cluster manager against the
// policy: a CIB of Pacemaker goes in, and the decision is compared with the one
// that Pacemaker takes. The cases are not part of this repository; the variable
// BELAY_SCHEDULER_CASES names the directory that holds them.
//
// testdata/passing lists, by name, the cases that are decided alike. They must
// stay so; a case that comes to pass is added with -update.
package compat
