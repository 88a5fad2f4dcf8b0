package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// What every node may write: what any engine does for an authenticated caller,
// and what the DC does, which any node may become. The DC's own guard is the
// comparison of its key in every transaction.
//
// cib.KeyDataGen is missing on purpose: it orders whole histories, and only root
// may change it. So is cib.KeyRevoked: a node must not take itself off the list.
var sharedKeys = []string{
	cib.KeyConfig, cib.KeyConfigHistory, "join/", cib.KeyEvent, cib.KeyAccess,
	cib.KeyDC, cib.KeyView, cib.KeyVoters, cib.KeyAdvice, cib.KeyRound, cib.KeyOutages, cib.KeyTicketStatus,
	cib.KeyRemote, cib.KeyRemoteHistory, cib.KeyNodeStatus, cib.KeyPending, cib.KeyFenceRequest, cib.KeyProof, cib.KeyFenceHistory,
}

// ownKeys are what only the node itself may write.
func ownKeys(node string) []string {
	return []string{
		cib.KeyMember + node, cib.KeyAttributes + node, cib.KeyStore + node, cib.KeyLinks + node,
		cib.KeyHistory + node + "/", cib.KeyReadiness + node + "/",
		cib.KeyIssued + node + "/",
	}
}

const sharedRole = "node"

func ownRole(node string) string { return "node/" + node }

// EnableAuth lets the store itself enforce who writes what, by the names in the
// nodes' certificates. From then on only the holder of a certificate for
// [pki.RootName] can administer it: such a certificate belongs where the key of
// the cluster's authority is.
func (a *Admin) EnableAuth(ctx context.Context, nodes []string) error {
	steps := []authStep{
		{"user " + pki.RootName, func(ctx context.Context, c pb.AuthClient) error {
			_, err := c.UserAdd(ctx, &pb.AuthUserAddRequest{Name: pki.RootName, Options: &authpb.UserAddOptions{NoPassword: true}})
			return err
		}},
		{"role " + pki.RootName, func(ctx context.Context, c pb.AuthClient) error {
			_, err := c.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: pki.RootName})
			return err
		}},
		{"role of " + pki.RootName, func(ctx context.Context, c pb.AuthClient) error {
			_, err := c.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: pki.RootName, Role: pki.RootName})
			return err
		}},
	}
	steps = append(steps, a.roleSteps(sharedRole, sharedKeys)...)
	// Everybody reads everything: secrets are sealed, tokens are hashed.
	steps = append(steps, a.grantStep(sharedRole, authpb.Permission_READ, ""))
	if err := a.authSteps(ctx, steps); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := a.GrantNode(ctx, n); err != nil {
			return err
		}
	}
	return a.authSteps(ctx, []authStep{{"switch on", func(ctx context.Context, c pb.AuthClient) error {
		_, err := c.AuthEnable(ctx, &pb.AuthEnableRequest{})
		return err
	}}})
}

// GrantNode gives a node its account, before it joins.
func (a *Admin) GrantNode(ctx context.Context, node string) error {
	if node == "" || node == pki.RootName {
		return fmt.Errorf("account of node %q in the store: %w", node, ErrInvalid)
	}
	steps := append(a.roleSteps(sharedRole, sharedKeys), a.roleSteps(ownRole(node), ownKeys(node))...) // a cluster of an older release lacks some keys
	steps = append(steps, authStep{"user " + node, func(ctx context.Context, c pb.AuthClient) error {
		_, err := c.UserAdd(ctx, &pb.AuthUserAddRequest{Name: node, Options: &authpb.UserAddOptions{NoPassword: true}})
		return err
	}})
	for _, role := range []string{sharedRole, ownRole(node)} {
		steps = append(steps, authStep{"role of " + node, func(ctx context.Context, c pb.AuthClient) error {
			_, err := c.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: node, Role: role})
			return err
		}})
	}
	return a.authSteps(ctx, steps)
}

// Complete gives the accounts of nodes what a cluster that was made by an older release
// lacks: keys that came since. It says whether anything was missing.
func (a *Admin) Complete(ctx context.Context, nodes []string) (bool, error) {
	missing := false
	for role, keys := range a.rolesOf(nodes) {
		var have []*authpb.Permission
		err := a.authSteps(ctx, []authStep{{"look at role " + role, func(ctx context.Context, c pb.AuthClient) error {
			resp, err := c.RoleGet(ctx, &pb.AuthRoleGetRequest{Role: role})
			if err == nil {
				have = resp.Perm
			}
			return err
		}}})
		if err != nil {
			return missing, err
		}
		var steps []authStep
		for _, key := range keys {
			if !slices.ContainsFunc(have, func(p *authpb.Permission) bool {
				return p.PermType == authpb.Permission_READWRITE && string(p.Key) == a.s.prefix+key && string(p.RangeEnd) == string(a.s.subtree(key))
			}) {
				steps = append(steps, a.grantStep(role, authpb.Permission_READWRITE, key))
			}
		}
		if err := a.authSteps(ctx, steps); err != nil {
			return missing, err
		}
		missing = missing || len(steps) > 0
	}
	return missing, nil
}

// rolesOf are the roles of nodes with the keys that each may write.
func (a *Admin) rolesOf(nodes []string) map[string][]string {
	out := map[string][]string{sharedRole: sharedKeys}
	for _, n := range nodes {
		out[ownRole(n)] = ownKeys(n)
	}
	return out
}

// Accounts lists the nodes that have an account.
func (a *Admin) Accounts(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, a.s.cfg.CommitMax)
	defer cancel()
	var names []string
	err := a.s.do(ctx, true, func(ctx context.Context, c *conn) error {
		resp, err := c.auth.UserList(ctx, &pb.AuthUserListRequest{})
		if err == nil {
			names = resp.Users
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("accounts of the store: %w", err)
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == pki.RootName }), nil
}

// RevokeNode takes a removed node's account away: its certificate opens nothing
// from then on.
func (a *Admin) RevokeNode(ctx context.Context, node string) error {
	return a.authSteps(ctx, []authStep{
		{"user " + node, func(ctx context.Context, c pb.AuthClient) error {
			_, err := c.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: node})
			return err
		}},
		{"role " + ownRole(node), func(ctx context.Context, c pb.AuthClient) error {
			_, err := c.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: ownRole(node)})
			return err
		}},
	})
}

// Purge is [Store.Purge] as root: with accounts, nobody else may.
func (a *Admin) Purge(ctx context.Context, node string, conditions []cib.Compare) (ok bool, rev int64, err error) {
	return a.s.Purge(ctx, node, conditions)
}

// Purge deletes the status of a removed node, which that node alone could write,
// if the conditions hold.
func (s *Store) Purge(ctx context.Context, node string, conditions []cib.Compare) (ok bool, rev int64, err error) {
	if node == "" {
		return false, 0, fmt.Errorf("delete the status of a node: %w: no name", ErrInvalid)
	}
	req, _, err := s.request(cib.Txn{If: conditions})
	if err != nil {
		return false, 0, err
	}
	for _, key := range append(ownKeys(node), cib.KeyNodeStatus+node, cib.KeyPending+node+"/") {
		req.Success = append(req.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(s.prefix + key), RangeEnd: s.subtree(key)},
		}})
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CommitMax)
	defer cancel()
	err = s.do(ctx, false, func(ctx context.Context, c *conn) error {
		resp, err := c.kv.Txn(ctx, req)
		if err == nil {
			ok, rev = resp.Succeeded, resp.Header.Revision
		}
		return err
	})
	if err != nil {
		return false, 0, fmt.Errorf("delete the status of node %s: %w", node, err)
	}
	return ok, rev, nil
}

// subtree is the end of the range of a key: with everything below it when it ends
// in a slash, else empty, for the key alone.
func (s *Store) subtree(key string) []byte {
	if key == "" || key[len(key)-1] == '/' {
		return rangeEnd(s.prefix + key)
	}
	return nil
}

type authStep struct {
	what string
	do   func(context.Context, pb.AuthClient) error
}

func (a *Admin) roleSteps(role string, keys []string) []authStep {
	steps := []authStep{{"role " + role, func(ctx context.Context, c pb.AuthClient) error {
		_, err := c.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: role})
		return err
	}}}
	for _, key := range keys {
		steps = append(steps, a.grantStep(role, authpb.Permission_READWRITE, key))
	}
	return steps
}

func (a *Admin) grantStep(role string, kind authpb.Permission_Type, key string) authStep {
	return authStep{"permission of " + role, func(ctx context.Context, c pb.AuthClient) error {
		_, err := c.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: &authpb.Permission{
			PermType: kind, Key: []byte(a.s.prefix + key), RangeEnd: a.s.subtree(key),
		}})
		return err
	}}
}

// authSteps does the steps in order; one that was done before is no error.
func (a *Admin) authSteps(ctx context.Context, steps []authStep) error {
	for _, step := range steps {
		limited, cancel := context.WithTimeout(ctx, a.s.cfg.CommitMax)
		err := a.s.do(limited, false, func(ctx context.Context, c *conn) error { return step.do(ctx, c.auth) })
		cancel()
		switch {
		case err == nil,
			errors.Is(err, rpctypes.ErrUserAlreadyExist), errors.Is(err, rpctypes.ErrRoleAlreadyExist),
			errors.Is(err, rpctypes.ErrUserNotFound), errors.Is(err, rpctypes.ErrRoleNotFound):
		default:
			return fmt.Errorf("accounts of the store: %s: %w", step.what, err)
		}
	}
	return nil
}
