// Package reference holds the generated reference, for programs that show it.
package reference

import _ "embed"

// Schema is the JSON schema of the configuration.
//
//go:embed cluster.schema.json
var Schema []byte
