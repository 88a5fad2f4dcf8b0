package policy

import (
	"math"

	"github.com/belay-ha/belay/engine/cib"
)

// absent is the score of a node that no location allows in an opt-in cluster.
// It is apart from -INFINITY since a location constraint lifts it.
const absent cib.Score = math.MinInt32

// spent marks, while wishes are summed up, a node that some dependent cannot
// use: further wishes do not bring it back. Pacemaker's INFINITY_HACK.
const spent cib.Score = -100 * cib.Infinity

// add sums two scores where a node may be absent: it stays so.
func add(score, more cib.Score) cib.Score {
	if score == absent {
		return absent
	}
	return score.Add(more)
}

// scale multiplies a score by a factor, rounded. A product that is not zero
// stays so: small scores are what people often configure.
func scale(score cib.Score, factor float64) cib.Score {
	f := factor * float64(score)
	var v cib.Score
	switch {
	case f >= float64(cib.Infinity):
		return cib.Infinity
	case f <= -float64(cib.Infinity):
		return -cib.Infinity
	case f < 0:
		v = cib.Score(f - 0.5)
	default:
		v = cib.Score(f + 0.5)
	}
	if v == 0 && score != 0 {
		switch {
		case factor > 0:
			v = 1
		case factor < 0:
			v = -1
		}
	}
	return v
}
