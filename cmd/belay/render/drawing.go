package render

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// colorOf is the colour of an action in a drawing.
func colorOf(a *graph.Action) string {
	switch a.Op {
	case cib.OpFence:
		return "#c62828"
	case cib.OpStop, cib.OpDemote:
		return "#ef6c00"
	case cib.OpStart, cib.OpPromote, cib.OpMigrateTo, cib.OpMigrateFrom:
		return "#2e7d32"
	}
	return "#607d8b"
}

// Dot writes a plan in the language of Graphviz. The order is pairs of numbers of
// actions, which count from 1: the first is done before the second.
func Dot(g *graph.Graph, order [][2]int) string {
	var b strings.Builder
	b.WriteString("digraph plan {\n\trankdir=TB;\n\tnode [shape=box, style=rounded, fontname=\"sans-serif\"];\n")
	for i := range g.Actions {
		a := &g.Actions[i]
		fmt.Fprintf(&b, "\ta%d [label=%s, color=%s, tooltip=%s];\n", i+1, strconv.Quote(a.String()), strconv.Quote(colorOf(a)), strconv.Quote(a.Why.Cause))
	}
	for _, o := range order {
		fmt.Fprintf(&b, "\ta%d -> a%d;\n", o[0], o[1])
	}
	b.WriteString("}\n")
	return b.String()
}

// Sizes of a drawing, in pixels.
const (
	boxHeight   = 26
	boxGap      = 18
	layerGap    = 46
	margin      = 16
	letterWidth = 7.2 // of the monospaced font at 12 px
)

// box is one action in a drawing.
type box struct {
	layer    int
	x, width float64
	place    float64 // within its layer, while it is being ordered
}

// SVG draws a plan from top to bottom: what can be done at once stands side by
// side, and lines lead from each action to those that wait for it. The reason of an
// action is shown where the pointer rests on it.
func SVG(g *graph.Graph, order [][2]int) string {
	boxes, layers := layout(g, order)
	width, height := 2.0*margin, 2*margin+len(layers)*(boxHeight+layerGap)-layerGap
	for i := range boxes {
		width = max(width, boxes[i].x+boxes[i].width+margin)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" font-family="monospace" font-size="12">`+"\n", width, max(height, 2*margin), width, max(height, 2*margin))
	b.WriteString(`<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#888"/></marker></defs>` + "\n")
	top := func(i int) int { return margin + boxes[i].layer*(boxHeight+layerGap) }
	for _, o := range order {
		from, to := o[0]-1, o[1]-1
		x1, y1 := boxes[from].x+boxes[from].width/2, top(from)+boxHeight
		x2, y2 := boxes[to].x+boxes[to].width/2, top(to)
		fmt.Fprintf(&b, `<path d="M%.1f,%d C%.1f,%d %.1f,%d %.1f,%d" fill="none" stroke="#888" marker-end="url(#tip)"/>`+"\n", x1, y1, x1, y1+layerGap/2, x2, y2-layerGap/2, x2, y2)
	}
	for i := range g.Actions {
		a := &g.Actions[i]
		fmt.Fprintf(&b, `<g><title>%s</title><rect x="%.1f" y="%d" width="%.1f" height="%d" rx="5" fill="#fff" stroke="%s"/><text x="%.1f" y="%d" text-anchor="middle">%s</text></g>`+"\n",
			escape(a.Why.Cause), boxes[i].x, top(i), boxes[i].width, boxHeight, colorOf(a), boxes[i].x+boxes[i].width/2, top(i)+17, escape(a.String()))
	}
	if len(g.Actions) == 0 {
		b.WriteString("<title>there is nothing to do</title>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// layout gives every action its place: the layer is the length of the longest way
// to it, and within a layer those stand close together that have the same
// neighbours.
func layout(g *graph.Graph, order [][2]int) ([]box, [][]int) {
	boxes := make([]box, len(g.Actions))
	before, after := make([][]int, len(boxes)), make([][]int, len(boxes))
	for _, o := range order {
		before[o[1]-1] = append(before[o[1]-1], o[0]-1)
		after[o[0]-1] = append(after[o[0]-1], o[1]-1)
	}
	var layers [][]int
	for i := range boxes { // an action stands behind those that it waits for
		for _, k := range before[i] {
			boxes[i].layer = max(boxes[i].layer, boxes[k].layer+1)
		}
		for len(layers) <= boxes[i].layer {
			layers = append(layers, nil)
		}
		layers[boxes[i].layer] = append(layers[boxes[i].layer], i)
		boxes[i].width = float64(len([]rune(g.Actions[i].String())))*letterWidth + 14
	}
	number := func(layer []int) {
		for k, i := range layer {
			boxes[i].place = float64(k)
		}
	}
	for _, l := range layers {
		number(l)
	}
	sortBy := func(layer []int, neighbours [][]int) {
		for _, i := range layer {
			if len(neighbours[i]) == 0 {
				continue
			}
			sum := 0.0
			for _, k := range neighbours[i] {
				sum += boxes[k].place
			}
			boxes[i].place = sum / float64(len(neighbours[i]))
		}
		slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(boxes[a].place, boxes[b].place) })
		number(layer)
	}
	const sweeps = 4 // more hardly change anything
	for range sweeps {
		for _, l := range layers {
			sortBy(l, before)
		}
		for _, l := range slices.Backward(layers) {
			sortBy(l, after)
		}
	}
	for _, l := range layers {
		x := float64(margin)
		for _, i := range l {
			boxes[i].x = x
			x += boxes[i].width + boxGap
		}
	}
	return boxes, layers
}
