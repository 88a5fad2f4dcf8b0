package model

import (
	"strings"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/api"
)

// Values of CIM_ConcreteJob.JobState.
const (
	jobRunning   = 4
	jobCompleted = 7
	jobException = 10
)

// eachJob calls f with each job that is known here, or with the one that near names:
// the id of a job says all of it, so that every node knows every job.
func (s *Source) eachJob(near *object.Path, f func(*Job) bool) error {
	if near != nil && near.Class == jobClass {
		id, ok := strings.CutPrefix(near.Text("InstanceID"), jobID)
		if !ok || s.access.Job == nil {
			return nil
		}
		j, err := s.access.Job(id)
		if j != nil && err == nil {
			f(j)
		}
		return err
	}
	if s.access.Jobs == nil {
		return nil
	}
	jobs, err := s.access.Jobs()
	for k := range jobs {
		if !f(&jobs[k]) {
			break
		}
	}
	return err
}

func (s *Source) jobs(near *object.Path, y yield) error {
	return s.eachJob(near, func(j *Job) bool { return y(s.job(j)) })
}

func (s *State) job(j *Job) *object.Instance {
	i := s.new(jobClass)
	i.Set("InstanceID", jobID+j.ID)
	name := string(j.Action) + " " + j.Object
	i.Set("Name", name)
	i.Set("ElementName", name)
	i.Set("TimeSubmitted", j.Began)
	i.Set("StartTime", j.Began)
	text(i, "Owner", j.User)
	i.Set("DeleteOnCompletion", false)
	i.Set("Operation", string(j.Action))
	i.Set("AffectedObject", j.Object)
	i.Set("ConfigGeneration", j.Generation)
	text(i, "AuditRecordID", j.RequestID)
	state, percent, word, cond := jobRunning, 50, "running", condition{operational: opOK, health: healthOK}
	switch {
	case j.Failed:
		state, percent, word, cond = jobException, 100, "not as wanted", condition{operational: opError, health: healthMajor}
		i.Set("ErrorCode", 1)
		i.Set("ErrorDescription", j.Reason)
	case j.Over:
		state, percent, word = jobCompleted, 100, "done"
	}
	if !j.Failed {
		i.Set("ErrorCode", 0)
	}
	i.Set("JobState", state)
	i.Set("PercentComplete", percent)
	i.Set("JobStatus", reasonOr(j.Reason, word))
	cond.setHealth(i)
	return i
}

// Object is the path of what an object of a change names, such as "resource/web"; nil
// where CIM has none.
func (s *State) Object(name string) *object.Path {
	kind, id, _ := strings.Cut(name, "/")
	switch kind {
	case "cluster", "generation":
		return s.clusterPath()
	case "node":
		return s.machinePath(id)
	case "remote-node":
		return s.systemPath(remoteClass, id)
	case "resource":
		return s.ResourcePath(id)
	case "constraint":
		return byID(constraintClass, constraintID+id)
	case "fence-device":
		return s.servicePath(fenceDeviceClass, id)
	case "quorum-device":
		return quorumDevicePath(id)
	}
	return nil
}

func (s *Source) owningJobs(near *object.Path, y yield) error {
	return s.eachJob(near, func(j *Job) bool {
		return y(s.link(Root, "CIM_OwningJobElement", "OwningElement", s.ServicePath(), "OwnedElement", JobPath(j.ID)))
	})
}

func (s *Source) affectedByJobs(near *object.Path, y yield) error {
	return s.eachJob(near, func(j *Job) bool {
		p := s.Object(j.Object)
		return p == nil || y(s.link(Root, "CIM_AffectedJobElement", "AffectedElement", p, "AffectingElement", JobPath(j.ID)))
	})
}

// JobError is what is wrong with a job as an embedded CIM_Error; nil where nothing is.
func (s *State) JobError(j *Job) *object.Instance {
	if !j.Failed {
		return nil
	}
	i := s.new("CIM_Error")
	i.Namespace = ""
	i.Set("ErrorType", 4)
	i.Set("OwningEntity", "Belay")
	i.Set("MessageID", api.CodeNotAsWanted)
	i.Set("Message", j.Reason)
	i.Set("MessageArguments", []string{})
	i.Set("PerceivedSeverity", 5)
	i.Set("CIMStatusCode", 1)
	i.Set("CIMStatusCodeDescription", object.Failed.String())
	if p := s.Object(j.Object); p != nil {
		i.Set("ErrorSource", p.String())
	}
	return i
}

// JobOf is the id of the job with a path.
func JobOf(p *object.Path) (id string, ok bool) {
	return strings.CutPrefix(p.Text("InstanceID"), jobID)
}
