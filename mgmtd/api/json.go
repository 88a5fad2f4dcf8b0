package api

import "fmt"

// checkJSON looks at a body before it is decoded: how deep it is nested, and whether
// brackets and strings are closed. It allocates nothing and takes one pass. "" where
// it may be decoded.
func checkJSON(b []byte, depthMax int) string {
	depth, text, escaped := 0, false, false
	for _, c := range b {
		switch {
		case text && escaped:
			escaped = false
		case text && c == '\\':
			escaped = true
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > depthMax {
				return fmt.Sprintf("nested deeper than %d", depthMax)
			}
		case c == '}' || c == ']':
			if depth--; depth < 0 {
				return "a bracket is closed that was not opened"
			}
		}
	}
	if depth != 0 || text {
		return "it ends too early"
	}
	return ""
}
