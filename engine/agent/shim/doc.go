// Package shim answers the Pacemaker tools that resource agents call:
// attrd_updater, crm_attribute, crm_master, crm_mon, crm_node, crm_resource,
// and as much of cibadmin and pacemakerd as agents use to find things out.
//
// What it promises:
//
//   - Options are read as the tools of Pacemaker 2.1 read them, and output,
//     error texts and exit statuses are theirs, because agents parse them.
//   - Options that a tool has and this package does not know are refused with
//     status 64, never ignored.
//   - It holds no state and decides nothing: every call becomes requests to the
//     engine, through a [Backend].
//
// Agents find the tools through HA_SBIN_DIR and PATH, which package agent sets.
package shim
