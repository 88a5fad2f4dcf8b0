package api

import "net/http"

// Definition defines one error code. Codes are never reused. 1xxx are refusals
// of an input, 2xxx conflicts and states that forbid it, 9xxx defects.
type Definition struct {
	Code   string
	Title  string
	Status int // HTTP
	Exit   int // exit code of the command line
	Remedy string
}

// Exit codes of the command line.
const (
	ExitDone     = 0
	ExitFailed   = 1
	ExitUsage    = 2
	ExitNoQuorum = 3
	ExitConflict = 4
)

// Codes is the one table of error codes.
var Codes = []Definition{
	{"BLY1001", "Not a valid request", http.StatusBadRequest, ExitFailed, "Correct the request; belay --help and docs/api.md show its form."},
	{"BLY1002", "Configuration not valid", http.StatusUnprocessableEntity, ExitFailed, "Correct every path named and apply again. Nothing was changed."},
	{"BLY1003", "No such object", http.StatusNotFound, ExitFailed, "belay get lists what there is."},
	{"BLY1004", "Object exists", http.StatusConflict, ExitConflict, "Choose another id, or update the object."},
	{"BLY1005", "Request too large", http.StatusRequestEntityTooLarge, ExitFailed, "Split the change into smaller ones."},
	{"BLY1006", "Object is in use", http.StatusConflict, ExitFailed, "Delete or change what refers to it first, in the same apply if you like."},
	{"BLY1010", "Join refused", http.StatusForbidden, ExitFailed, "Make a new token with belay cluster token and use it within its time."},
	{"BLY1011", "Clocks differ too much", http.StatusForbidden, ExitFailed, "Synchronise both clocks (chronyc makestep, timedatectl set-ntp true) and join again."},
	{"BLY1012", "Versions do not fit", http.StatusForbidden, ExitFailed, "Install the same release as the cluster's; belay cluster status shows it."},
	{"BLY1013", "Name or address is taken", http.StatusConflict, ExitFailed, "Choose another node name or address, or remove the old node first: belay node remove."},
	{"BLY1014", "External store cannot be used", http.StatusUnprocessableEntity, ExitFailed, "Correct what is named, at the etcd or in the request. Nothing was changed."},
	{"BLY2001", "Not allowed", http.StatusForbidden, ExitFailed, "Ask root, or somebody with the right role."},
	{"BLY2002", "Conflict", http.StatusConflict, ExitConflict, "Somebody else changed the configuration in between. Look at belay diff and try again."},
	{"BLY2003", "No quorum", http.StatusServiceUnavailable, ExitNoQuorum, "Bring back the missing voters: belay quorum status. Running services go on as no-quorum-policy says."},
	{"BLY2004", "Store does not answer", http.StatusServiceUnavailable, ExitNoQuorum, "Running services go on. See belay status --store and try again."},
	{"BLY2005", "Audit log cannot be written", http.StatusServiceUnavailable, ExitFailed, "Free disk space for /var/lib/belay/audit on this node. Nothing was changed."},
	{"BLY2006", "Engine does not run", http.StatusServiceUnavailable, ExitNoQuorum, "systemctl start belayd; journalctl -u belayd tells why it ended."},
	{"BLY2007", "No cluster yet", http.StatusConflict, ExitFailed, "belay cluster init makes one, belay cluster join joins one."},
	{"BLY2008", "Node still answers", http.StatusConflict, ExitFailed, "A confirmation would be wrong: the node is heard. Stop it first, or let the cluster fence it."},
	{"BLY2009", "Plan changed", http.StatusConflict, ExitConflict, "The cluster changed since the dry run. Look at the new plan and apply that."},
	{"BLY2010", "No working fencing", http.StatusConflict, ExitFailed, "Configure a fence device for every node: belay fence --help."},
	{"BLY2011", "Time is up", http.StatusGatewayTimeout, ExitFailed, "It goes on in the cluster; belay status shows how far it is."},
	{"BLY2012", "Two histories", http.StatusConflict, ExitFailed, "Decide which side's data is right and rejoin the other node. No change is possible until then."},
	{"BLY2013", "Removing it would endanger quorum", http.StatusConflict, ExitFailed, "Add or repair a voter first."},
	{"BLY2014", "Feature level", http.StatusConflict, ExitFailed, "Upgrade the nodes that still run the older release; belay cluster status names them."},
	{"BLY2015", "Not as wanted", http.StatusConflict, ExitFailed, "belay explain resource NAME and belay resource failures NAME tell why."},
	{"BLY2016", "State of this node cannot be used", http.StatusConflict, ExitFailed, "Bring back the file that is named, from a copy of it, and restart belayd. Or let the cluster forget this node (belay node remove, on another), remove /var/lib/belay/* here, restart belayd, and join anew."},
	{"BLY2020", "Log in first", http.StatusUnauthorized, ExitFailed, "Log in: belay login --server URL, or POST /v1/session."},
	{"BLY2021", "Log-in refused", http.StatusUnauthorized, ExitFailed, "Check user name and password. After too many tries the account is locked for a while."},
	{"BLY2022", "Too many requests", http.StatusTooManyRequests, ExitFailed, "Wait as long as Retry-After says, then try again."},
	{"BLY2023", "Say what you have seen", http.StatusPreconditionRequired, ExitFailed, "Send If-Match with the ETag of what you read."},
	{"BLY2024", "It has changed since", http.StatusPreconditionFailed, ExitConflict, "Read it again, and repeat the change on what it is now."},
	{"BLY2025", "Idempotency key was used", http.StatusUnprocessableEntity, ExitFailed, "The key belongs to another request. Draw a new key for a new request."},
	{"BLY2026", "A second person must approve", http.StatusConflict, ExitFailed, "Ask somebody else with the right to do it: belay approval approve ID."},
	{"BLY2027", "No longer kept", http.StatusGone, ExitFailed, "Read the present state, and go on from there."},
	{"BLY2028", "Unsupported content type", http.StatusUnsupportedMediaType, ExitFailed, "Send application/json."},
	{"BLY2029", "Set-up code needed", http.StatusForbidden, ExitFailed, "The log of belayd on this node tells the code: journalctl -u belayd. Root needs none at the socket."},
	{"BLY2030", "Not from this page", http.StatusForbidden, ExitFailed, "Send the session's token in X-CSRF-Token, from a page of this server."},
	{"BLY2031", "No such method", http.StatusMethodNotAllowed, ExitFailed, "docs/rest.md lists what can be done with each path."},
	{"BLY2032", "Node not reached", http.StatusBadGateway, ExitNoQuorum, "The management daemon or the network does not answer: check the address, and systemctl status belay-mgmtd there."},
	{"BLY9001", "Defect", http.StatusInternalServerError, ExitFailed, "This is a defect in Belay: send the output of belay report."},
}

// The codes, for programs.
const (
	CodeBadRequest   = "BLY1001"
	CodeInvalid      = "BLY1002"
	CodeNotFound     = "BLY1003"
	CodeExists       = "BLY1004"
	CodeTooLarge     = "BLY1005"
	CodeInUse        = "BLY1006"
	CodeJoinRefused  = "BLY1010"
	CodeClock        = "BLY1011"
	CodeVersion      = "BLY1012"
	CodeTaken        = "BLY1013"
	CodeExternal     = "BLY1014"
	CodeForbidden    = "BLY2001"
	CodeConflict     = "BLY2002"
	CodeNoQuorum     = "BLY2003"
	CodeStore        = "BLY2004"
	CodeAudit        = "BLY2005"
	CodeNotRunning   = "BLY2006"
	CodeNoCluster    = "BLY2007"
	CodeStillAlive   = "BLY2008"
	CodePlanChanged  = "BLY2009"
	CodeNoFencing    = "BLY2010"
	CodeTimeout      = "BLY2011"
	CodeTwoHistories = "BLY2012"
	CodeQuorumAtRisk = "BLY2013"
	CodeFeatureLevel = "BLY2014"
	CodeNotAsWanted  = "BLY2015"
	CodeState        = "BLY2016"
	CodeLogin        = "BLY2020"
	CodeLoginRefused = "BLY2021"
	CodeTooMany      = "BLY2022"
	CodeNeedMatch    = "BLY2023"
	CodeNoMatch      = "BLY2024"
	CodeKeyUsed      = "BLY2025"
	CodeApproval     = "BLY2026"
	CodeGone         = "BLY2027"
	CodeContentType  = "BLY2028"
	CodeSetup        = "BLY2029"
	CodeCSRF         = "BLY2030"
	CodeMethod       = "BLY2031"
	CodeUnreachable  = "BLY2032"
	CodeDefect       = "BLY9001"
)

// NewProblem makes a problem from its code; an unknown code becomes a defect.
func NewProblem(code, detail string, faults ...Fault) *Problem {
	for _, d := range Codes {
		if d.Code == code {
			return &Problem{Code: code, Title: d.Title, Detail: detail, Remedy: d.Remedy, Status: d.Status, Faults: faults}
		}
	}
	return NewProblem(CodeDefect, "unknown code "+code+": "+detail, faults...)
}

// ExitCode returns the exit code of the command line for a problem's code.
func ExitCode(code string) int {
	for _, d := range Codes {
		if d.Code == code {
			return d.Exit
		}
	}
	return ExitFailed
}
