package policy

// addPromotionScores lets the wish to be promoted decide where instances go.
func (p *placer) addPromotionScores(*rsc) {}

// promote chooses the instances to be promoted.
func (p *placer) promote(*rsc) {}

// promotedMax is promoted-max.
func (r *rsc) promotedMax() int { return max(0, pick(1, r.cfg.Clone.PromotedMax)) }
