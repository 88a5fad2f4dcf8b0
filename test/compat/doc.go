// Package compat runs the scheduler cases of another cluster manager against the
// policy: a CIB of Pacemaker goes in, and the decision is compared with the one
// that Pacemaker takes. The cases are not part of this repository; the variable
// BELAY_SCHEDULER_CASES names the directory that holds them.
//
// testdata/passing lists, by name, the cases that are decided alike. They must
// stay so; a case that comes to pass is added with -update. testdata/failing has those
// that are not, and testdata/monitors those of the passing ones with other recurring
// monitors, each with the reason.
//
// TestOracle makes random clusters and compares with the crm_simulate that the variable
// BELAY_CRM_SIMULATE names; see oracle_test.go.
package compat
